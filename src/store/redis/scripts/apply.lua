-- What accept, commit and operate have in common.

-- The last seq in a line, 0 if there is none.
local function last_of(line)
  if line == '' then return 0 end
  -- Its score is a number, whatever stands in the line.
  return tonumber(call('ZRANGE', P .. line, -1, -1, 'WITHSCORES')[2] or 0)
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

-- Takes writes to rows.
local function take_writes()
  local writes = {}
  for index = 1, count() do
    local write = {op = take(), row = 's:' .. take()}
    if write.op == 'D' then
      -- Whatever it was.
      kinds[write.row] = 'none'
    else
      expect('hash', write.row)
      write.column = take()
    end
    if write.op == 'P' then write.value = take() end
    writes[index] = write
  end
  return writes
end

-- Takes the ids of jobs that are to be cancelled, but for `own`.
local function take_cancels(own)
  local cancels, is_known = {}, {[own] = true}
  for _ = 1, count() do
    local id = take()
    -- One that cannot be read stays for an operator.
    local readable, job = pcall(open_job, id)
    if readable and job and not is_known[id] then
      expect_finish(job)
      is_known[id] = true
      cancels[#cancels + 1] = job
    end
  end
  return cancels
end

local function take_jobs()
  local jobs = {retention = take()}
  for index = 1, count() do
    local job = {at = 2 * index - 1, id = take(), source = take(), line = take(), record = take()}
    if job.line ~= '' then expect('zset', job.line) end
    jobs[index] = job
  end
  if #jobs > 0 then
    expect_open()
    expect_counter('seq')
  end
  return jobs
end

-- Takes all of them; `own`: the id of the job whose commit it is.
local function take_changes(own)
  return {writes = take_writes(), cancels = take_cancels(own), jobs = take_jobs()}
end

-- Returns seq and prev of each job (0, 0 for a duplicate) and the ids of the
-- cancelled jobs.
local function apply(changes)
  for _, write in ipairs(changes.writes) do
    if write.op == 'P' then
      call('HSET', P .. write.row, write.column, write.value)
    elseif write.op == 'D' then
      call('DEL', P .. write.row)
    else
      call('HDEL', P .. write.row, write.column)
    end
  end
  local cancelled = {}
  for index, job in ipairs(changes.cancels) do
    finish(job)
    cancelled[index] = job.id
  end
  local places, lasts, new, is_new = {}, {}, {}, {}
  for _, job in ipairs(changes.jobs) do
    places[job.at], places[job.at + 1] = 0, 0
    lasts[job.line] = lasts[job.line] or last_of(job.line)
    if not is_new[job.id] and call('EXISTS', P .. 'job:' .. job.id) == 0
      and (job.source == ''
        or call('SET', P .. job.source, '', 'NX', 'PX', changes.jobs.retention)) then
      is_new[job.id] = true
      new[#new + 1] = job
    end
  end
  if #new > 0 then open_all(new, places, lasts) end
  note_growth()
  return places, cancelled
end
