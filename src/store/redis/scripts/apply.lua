-- What accept, commit and operate have in common.

-- Opens a job; returns its seq and prev.
local function store_job(id, line, attempt, rest)
  local seq, prev = call('INCR', P .. 'seq'), 0
  if line ~= '' then
    prev = tonumber(call('ZRANGE', P .. line, -1, -1)[1] or 0)
    call('ZADD', P .. line, seq, seq)
  end
  local record = struct.pack('>BI8I8I4I4I4', 2, seq, prev, attempt, 0, 0) .. rest
  call('SET', P .. 'job:' .. id, record)
  call('INCRBY', P .. 'open_bytes', #record)
  call('ZADD', P .. 'open', seq, id)
  return seq, prev
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
    -- One that cannot be read stays for an operator.
    local readable, job = pcall(open_job, id)
    if readable and job then
      finish(job)
      cancelled[#cancelled + 1] = id
    end
  end
  local retention, stored = take(), {}
  for _ = 1, count() do
    local id, source, line, record = take(), take(), take(), take()
    local seq, prev = 0, 0
    if call('EXISTS', P .. 'job:' .. id) == 0
      and (source == '' or call('SET', P .. source, '', 'NX', 'PX', retention)) then
      seq, prev = store_job(id, line, 1, record)
    end
    stored[#stored + 1] = seq
    stored[#stored + 1] = prev
  end
  return stored, cancelled
end
