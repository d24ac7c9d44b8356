-- Which store a connection is open on, and what time it is there.

-- name: who_are_you
select case
    when to_regtype(:mark::text) is null then 'foreign'
    when :flushed::boolean and current_setting('synchronous_commit') = 'off' then 'lax'
end

-- name: server_time
select (extract(epoch from clock_timestamp()) * 1000000)::bigint
