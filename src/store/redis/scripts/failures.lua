-- Failed jobs.
local function expect_failures()
  expect('zset', 'failed')
  expect('hash', 'failures')
  expect_counter('failed_seq')
  expect_counter('failed_bytes')
end

local function forget_failure(id)
  call('DECRBY', P .. 'failed_bytes', call('HSTRLEN', P .. 'failures', id))
  call('HDEL', P .. 'failures', id)
  call('ZREM', P .. 'failed', id)
end

-- Keeps a failed job; returns how many older ones made room.
local function keep_failure(id, entry, most, most_bytes)
  call('ZADD', P .. 'failed', call('INCR', P .. 'failed_seq'), id)
  call('HSET', P .. 'failures', id, entry)
  local kept, dropped = call('ZCARD', P .. 'failed'), 0
  local bytes = call('INCRBY', P .. 'failed_bytes', #entry)
  while kept > 1 and (kept > most or bytes > most_bytes) do
    forget_failure(call('ZRANGE', P .. 'failed', 0, 0)[1])
    bytes = tonumber(call('GET', P .. 'failed_bytes'))
    kept, dropped = kept - 1, dropped + 1
  end
  return dropped
end
