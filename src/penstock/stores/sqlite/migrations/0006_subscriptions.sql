-- Which events workers want of a subscription, and where one that was dropped goes on should it come back.

create table penstock_wish (
    subscription text not null,
    incarnation integer not null,
    types text,               -- a JSON list; null: all
    gone integer,             -- when its worker left: it counts a while longer, since workers restart
    primary key (incarnation, subscription)
) without rowid;

create index penstock_wish_subscription on penstock_wish (subscription);

create table penstock_generation (
    subscription text primary key,
    next integer not null     -- ids of the generations before it may still be in the store
) without rowid;
