"""SQLAlchemy: the order and the job that sends its receipt commit together.

python shop.py setup
python shop.py order mug          # prints the job's id
penstock worker shop:app
python shop.py result ID
"""

import sys

from sqlalchemy import create_engine, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from penstock import App, Transaction
from penstock.integrations.sqlalchemy import prepare

STORE = "sqlite:///shop.db"

app = App(STORE, name="shop")
engine = prepare(create_engine(STORE))  # WAL, full sync, `begin immediate`


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


class SoldOut(Exception):
    pass


@app.task()
def send_receipt(tx: Transaction, order_id: int) -> str:
    receipt = f"receipt for order {order_id}"  # your mail server here; at least once
    tx.sync.execute("update orders set receipt = :receipt where id = :id", receipt=receipt, id=order_id)  # once
    return receipt


def place_order(sku: str) -> str:
    """The order, the stock and the job: all or nothing. The job's id."""
    with Session(engine) as session, session.begin():
        order = Order(sku=sku)
        session.add(order)
        session.flush()
        job = send_receipt.using(tx=session).sync.enqueue(order.id)
        taken = update(Product).where(Product.sku == sku, Product.left > 0).values(left=Product.left - 1)
        if not session.execute(taken.returning(Product.sku)).all():
            raise SoldOut(sku)
    return job.id


def setup() -> None:
    Base.metadata.create_all(engine)
    with app.sync.transaction() as tx:  # opens the store, which makes Penstock's tables
        tx.execute("insert into products (sku, left) values ('mug', 1)")


def main(verb: str, *arguments: str) -> None:
    match verb:
        case "setup":
            setup()
        case "order":
            print(place_order(*arguments))
        case "result":
            print(app.job(*arguments).sync.result(timeout=20))


if __name__ == "__main__":
    main(*sys.argv[1:])
