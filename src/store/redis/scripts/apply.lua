-- What accept, commit and operate have in common.

-- The last seq in a line, 0 if there is none.
local function last_of(line)
  if line == '' then return 0 end
  return tonumber(call('ZRANGE', P .. line, -1, -1)[1] or 0)
end

-- Stores a job's record and puts it in its line behind `prev`; returns that.
local function place(seq, id, line, attempt, rest, prev)
  if line ~= '' then call('ZADD', P .. line, seq, seq) end
  local record = struct.pack('>BI8I8I4I4I4', 2, seq, prev, attempt, 0, 0) .. rest
  call('SET', P .. 'job:' .. id, record)
  growth = growth + #record
  return prev
end

-- Opens new jobs; `places` takes seq and prev of each, `lasts` has the last seq
-- of their lines. One command for what they have in common: a command from a
-- script costs more than what it does.
local function open_all(jobs, places, lasts)
  local seq, opened = call('INCRBY', P .. 'seq', #jobs) - #jobs, {}
  for index, job in ipairs(jobs) do
    seq = seq + 1
    places[job.at] = seq
    places[job.at + 1] = place(seq, job.id, job.line, 1, job.record, lasts[job.line])
    if job.line ~= '' then lasts[job.line] = seq end
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
  local retention, places, jobs, lasts, new, is_new = take(), {}, {}, {}, {}, {}
  -- A line that cannot be read ends the script here, before the source of any
  -- job is remembered: the job would be taken for a duplicate ever after.
  for index = 1, count() do
    local id, source, line, record = take(), take(), take(), take()
    local at = 2 * index - 1
    places[at], places[at + 1] = 0, 0
    lasts[line] = lasts[line] or last_of(line)
    jobs[index] = {at = at, id = id, source = source, line = line, record = record}
  end
  for _, job in ipairs(jobs) do
    if not is_new[job.id] and call('EXISTS', P .. 'job:' .. job.id) == 0
      and (job.source == '' or call('SET', P .. job.source, '', 'NX', 'PX', retention)) then
      is_new[job.id] = true
      new[#new + 1] = job
    end
  end
  if #new > 0 then open_all(new, places, lasts) end
  note_growth()
  return places, cancelled
end
