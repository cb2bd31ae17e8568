-- Ends a job whose record is lost or cannot be read, or is none, by its id
-- alone; false if it is not open. `line`: its key's, if that is known.
local function finish_lost(id, line)
  local seq = call('ZSCORE', P .. 'open', id)
  if not seq then return false end
  expect_open()
  expect('zset', 'parked')
  if line ~= '' then expect('zset', line) end
  if line ~= '' then call('ZREM', P .. line, seq) end
  forget_note(id)
  call('ZREM', P .. 'parked', id)
  close(id, is_a('string', 'job:' .. id) and call('STRLEN', P .. 'job:' .. id) or 0)
  return true
end

-- `seen`: 'parked', 'waiting' (until `record`), 'unreadable', or the first 8
-- bytes of the failed job's entry; if that is not how it is, nothing is done and
-- the caller looks again.
local id, action, audited, kept = take(), take(), take(), count()
local seen, line, attempt, record = take(), take(), take(), take()
expect('list', 'audit')
local readable, job = pcall(open_job, id)
-- What stands in the place of a job that is not open is none.
if not readable and not call('ZSCORE', P .. 'open', id) then
  readable, job = true, nil
end
local numbers = {}
if seen == 'unreadable' and not (readable and job) then
  if not finish_lost(id, line) then
    if call('HEXISTS', P .. 'failures', id) == 0 then return {1, {}, {}} end
    expect_failures()
    forget_failure(id)
  end
elseif not readable then
  return {1, {}, {}}
elseif job then
  local is_seen = seen == 'unreadable' or (seen == 'parked' and has(job, PARKED))
    or (seen == 'waiting' and job.held == record and not has(job, PARKED))
  if not is_seen then return {1, {}, {}} end
  if seen == 'waiting' and action == 'retry' then
    job.held = string.rep('\0', 8)
    clear(job, HELD)
    save(job)
  elseif action == 'retry' then
    expect('zset', 'parked')
    job.attempt, job.strikes, job.held = job.attempt + 1, 0, string.rep('\0', 8)
    clear(job, HELD)
    clear(job, CLAIMED)
    clear(job, PARKED)
    call('ZREM', P .. 'parked', id)
    save(job)
    numbers = {job.attempt}
  else
    expect_finish(job)
    finish(job)
  end
else
  local entry = call('HGET', P .. 'failures', id)
  if not entry or entry:sub(1, 8) ~= seen then return {1, {}, {}} end
  expect_failures()
  if action == 'retry' then
    expect_open()
    expect_counter('seq')
    if line ~= '' then expect('zset', line) end
  end
  forget_failure(id)
  if action == 'retry' then
    local seq = call('INCR', P .. 'seq')
    numbers = {seq, place(seq, id, line, attempt, record, last_of(line))}
    call('ZADD', P .. 'open', seq, id)
  end
end
note_growth()
call('RPUSH', P .. 'audit', audited)
call('LTRIM', P .. 'audit', -kept, -1)
return {0, numbers, {}}
