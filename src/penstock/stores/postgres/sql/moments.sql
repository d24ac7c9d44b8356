-- Finding a place in a topic by time.

-- name: position_at
-- By halving: of the events from `low` to below `high` it is not known yet on which side of the moment they are.
with recursive half (topic, low, high) as (
    select t.number, t.first, penstock.head_of(t.number) + 1
    from penstock.topic t
    where t.name = :topic
    union all
    select
        h.topic,
        case when e.at < :moment then e.pos + 1 else h.low end,
        case when e.at < :moment then h.high else (h.low + h.high) / 2 end
    from half h
    left join lateral (
        select e.pos, e.at
        from penstock.event e
        where e.topic = h.topic and e.pos >= (h.low + h.high) / 2 and e.pos < h.high
        order by e.pos
        limit 1
    ) e on true
    where h.low < h.high
)
select low - 1
from half
where low >= high
