"""FastAPI: the order and the job that sends its receipt commit together, in the request's AsyncSession."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from penstock import App, Transaction
from penstock.integrations.sqlalchemy import prepare

app = App("sqlite:///shop.db", name="shop")
engine = prepare(create_async_engine("sqlite+aiosqlite:///shop.db"))


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
async def send_receipt(tx: Transaction, order_id: int) -> str:
    receipt = f"receipt for order {order_id}"  # your mail server here; at least once
    await tx.execute("update orders set receipt = :receipt where id = :id", receipt=receipt, id=order_id)  # once
    return receipt


@asynccontextmanager
async def lifespan(web: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.execute(insert(Product).prefix_with("or ignore").values(sku="mug", left=1))
    yield
    await engine.dispose()


web = FastAPI(lifespan=app.lifespan(lifespan))  # work=True: also runs a worker here


async def session() -> AsyncIterator[AsyncSession]:
    async with AsyncSession(engine, expire_on_commit=False) as session:
        yield session


class NewOrder(BaseModel):
    sku: str


@web.post("/orders", status_code=202)
async def place_order(new: NewOrder, session: Annotated[AsyncSession, Depends(session)]) -> dict[str, int | str]:
    async with session.begin():  # here, and not in the dependency: that one ends when the answer has been sent
        order = Order(sku=new.sku)
        session.add(order)
        await session.flush()
        job = await send_receipt.using(tx=session).enqueue(order.id)
        taken = update(Product).where(Product.sku == new.sku, Product.left > 0).values(left=Product.left - 1)
        if not (await session.execute(taken.returning(Product.sku))).all():
            raise HTTPException(409, f"{new.sku} is sold out")  # rolls back
    return {"order": order.id, "job": job.id}


@web.get("/jobs/{job}")
async def result(job: str) -> dict[str, str]:
    return {"result": await app.job(job).result(timeout=20)}
