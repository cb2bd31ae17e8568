-- What accept, commit and operate have in common.

-- Stores a job's record and puts it in its line; returns its prev.
local function place(seq, id, line, attempt, rest)
  local prev = 0
  if line ~= '' then
    prev = tonumber(call('ZRANGE', P .. line, -1, -1)[1] or 0)
    call('ZADD', P .. line, seq, seq)
  end
  local record = struct.pack('>BI8I8I4I4I4', 2, seq, prev, attempt, 0, 0) .. rest
  call('SET', P .. 'job:' .. id, record)
  growth = growth + #record
  return prev
end

-- Opens new jobs; `places` takes seq and prev of each. One command for what
-- they have in common: a command from a script costs more than what it does.
local function open_all(jobs, places)
  local seq, opened = call('INCRBY', P .. 'seq', #jobs) - #jobs, {}
  for index, job in ipairs(jobs) do
    seq = seq + 1
    places[job.at] = seq
    places[job.at + 1] = place(seq, job.id, job.line, 1, job.record)
    opened[#opened + 1] = seq
    opened[#opened + 1] = job.id
    -- Lua passes no more than some thousand arguments.
    if #opened == 2000 or index == #jobs then
      call('ZADD', P .. 'open', unpack(opened))
      opened = {}
    end
  end
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
  local retention, places, new, is_new = take(), {}, {}, {}
  for index = 1, count() do
    local id, source, line, record = take(), take(), take(), take()
    local at = 2 * index - 1
    places[at], places[at + 1] = 0, 0
    if not is_new[id] and call('EXISTS', P .. 'job:' .. id) == 0
      and (source == '' or call('SET', P .. source, '', 'NX', 'PX', retention)) then
      is_new[id] = true
      new[#new + 1] = {at = at, id = id, line = line, record = record}
    end
  end
  if #new > 0 then open_all(new, places) end
  note_growth()
  return places, cancelled
end
