"""Flask: the order and the job that sends its receipt commit together, in the request's session."""

from flask import Flask, current_app, request
from sqlalchemy import create_engine, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from penstock import App
from penstock.integrations.sqlalchemy import prepare

STORE = "sqlite:///shop.db"

web = Flask(__name__)
web.config["SENDER"] = "shop@example.com"
engine = prepare(create_engine(STORE))

app = App(STORE, name="shop")
app.around(web.app_context)  # each handler has `current_app`, on its thread of the worker


class Base(DeclarativeBase):
    pass


class Product(Base):
    __tablename__ = "products"

    sku: Mapped[str] = mapped_column(primary_key=True)
    left: Mapped[int]


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str]
    receipt: Mapped[str | None]


@app.task()
def send_receipt(order_id: int) -> str:
    with Session(engine) as session, session.begin():
        receipt = f"receipt for order {order_id} from {current_app.config['SENDER']}"  # your mail server here; at least once
        session.get_one(Order, order_id).receipt = receipt
    return receipt


@web.post("/orders")
def place_order() -> tuple[dict[str, object], int]:
    sku = request.get_json()["sku"]
    with Session(engine) as session, session.begin():
        order = Order(sku=sku)
        session.add(order)
        session.flush()
        job = send_receipt.using(tx=session).sync.enqueue(order.id)
        taken = update(Product).where(Product.sku == sku, Product.left > 0).values(left=Product.left - 1)
        if not session.execute(taken.returning(Product.sku)).all():
            session.rollback()
            return {"sold out": sku}, 409
        answer: dict[str, object] = {"order": order.id, "job": job.id}
    return answer, 202


@web.get("/jobs/<job>")
def result(job: str) -> dict[str, str]:
    return {"result": app.job(job).sync.result(timeout=20)}


@web.cli.command("setup")
def setup() -> None:
    Base.metadata.create_all(engine)
    with app.sync.transaction() as tx:  # opens the store, which makes Penstock's tables
        tx.execute("insert into products (sku, left) values ('mug', 1)")
