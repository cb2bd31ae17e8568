-- What accept and commit have in common.
local function finish(id, head)
  local job = P .. 'job:' .. id
  if head:byte(34) >= 4 then
    local length = struct.unpack('>I4', head, 35)
    local key = head:sub(39, 38 + length)
    if #key < length then key = call('GETRANGE', job, 38, 37 + length) end
    call('ZREM', P .. 'line:' .. key, (numbers_of(head)))
  end
  call('DEL', job)
  call('ZREM', P .. 'open', id)
end

-- Takes writes, cancels and jobs. Returns seq and prev of each job (0, 0 for
-- a duplicate) and the ids of the cancelled jobs.
local function apply()
  for _ = 1, count() do
    local op, row = take(), P .. 's:' .. take()
    if op == 'P' then
      local column = take()
      call('HSET', row, column, take())
    elseif op == 'D' then
      call('DEL', row)
    else
      call('HDEL', row, take())
    end
  end
  local cancelled = {}
  for _ = 1, count() do
    local id = take()
    local head = head_of(id)
    if head ~= '' then
      finish(id, head)
      cancelled[#cancelled + 1] = id
    end
  end
  local retention, stored = take(), {}
  for _ = 1, count() do
    local id, source, line, record = take(), take(), take(), take()
    local job, seq, prev = P .. 'job:' .. id, 0, 0
    if call('EXISTS', job) == 0
      and (source == '' or call('SET', P .. source, '', 'NX', 'PX', retention)) then
      seq = call('INCR', P .. 'seq')
      if line ~= '' then
        prev = tonumber(call('ZRANGE', P .. line, -1, -1)[1] or 0)
        call('ZADD', P .. line, seq, seq)
      end
      call('SET', job, struct.pack('>BI8I8I4I4', 1, seq, prev, 1, 0) .. record)
      call('ZADD', P .. 'open', seq, id)
    end
    stored[#stored + 1] = seq
    stored[#stored + 1] = prev
  end
  return stored, cancelled
end
