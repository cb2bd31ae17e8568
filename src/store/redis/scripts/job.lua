-- Open jobs, whose records are laid out as store/record.rs says.
local HELD, CLAIMED, PARKED, NOTED, IN_LINE = 1, 2, 4, 8, 16

-- The fixed part of an open job's record, with its key if that is not longer
-- than 256 bytes; nil if the job is not open.
local HEAD = 298
local function open_job(id)
  local name = P .. 'job:' .. id
  local head = call('GETRANGE', name, 0, HEAD - 1)
  if head == '' then return nil end
  if #head < 42 or head:byte(1) ~= 2 then error('unreadable job record') end
  local job = {id = id, name = name, head = head}
  job.seq, job.prev, job.attempt, job.tries, job.strikes, job.held, job.flags =
    struct.unpack('>I8I8I4I4I4c8B', head, 2)
  return job
end

local function has(job, flag)
  return job.flags % (2 * flag) >= flag
end

local function set(job, flag)
  if not has(job, flag) then job.flags = job.flags + flag end
end

local function clear(job, flag)
  if has(job, flag) then job.flags = job.flags - flag end
end

-- The job, if this attempt owns it.
local function owned(id, attempt)
  local job = open_job(id)
  if job and attempt >= job.attempt and not has(job, PARKED) then return job end
end

-- Notes are for people: where they cannot be kept, jobs go on without.
local function note(job, reason)
  if is_a('hash', 'errors') then
    set(job, NOTED)
    job.noted = reason
  end
end

local function park(job, reason)
  expect('zset', 'parked')
  set(job, PARKED)
  job.is_to_park = true
  note(job, reason)
end

-- Writes what has been set, noted and parked.
local function save(job)
  if job.noted then call('HSET', P .. 'errors', job.id, job.noted) end
  if job.is_to_park then call('ZADD', P .. 'parked', job.seq, job.id) end
  call('SETRANGE', job.name, 17, struct.pack('>I4I4I4', job.attempt, job.tries, job.strikes)
    .. job.held .. string.char(job.flags))
end

-- By how much the script changes the size of all open records together, and
-- whether it has ended a job.
local growth, has_ended = 0, false

-- Nobody knows the size of a record that was lost or damaged; that of none is
-- known again.
local function note_growth()
  if growth == 0 and not has_ended then return end
  local bytes = call('INCRBY', P .. 'open_bytes', growth)
  if has_ended and bytes ~= 0 and call('EXISTS', P .. 'open') == 0 then
    call('SET', P .. 'open_bytes', 0)
  end
end

-- What takes a job off the open ones is going to write to.
local function expect_open()
  expect('zset', 'open')
  expect_counter('open_bytes')
end

-- Takes a job off the open ones.
local function close(id, size)
  growth, has_ended = growth - size, true
  call('DEL', P .. 'job:' .. id)
  call('ZREM', P .. 'open', id)
end

-- The line that a job is in.
local function line_of(job)
  local length = struct.unpack('>I4', job.head, 39)
  local key = job.head:sub(43, 42 + length)
  if #key < length then key = call('GETRANGE', job.name, 42, 41 + length) end
  return 'line:' .. key
end

-- What `finish` is going to write to.
local function expect_finish(job)
  expect_open()
  if has(job, PARKED) then expect('zset', 'parked') end
  if has(job, IN_LINE) then
    job.line = line_of(job)
    expect('zset', job.line)
  end
end

local function forget_note(id)
  if is_a('hash', 'errors') then call('HDEL', P .. 'errors', id) end
end

local function finish(job)
  if job.line then call('ZREM', P .. job.line, job.seq) end
  if has(job, NOTED) then forget_note(job.id) end
  if has(job, PARKED) then call('ZREM', P .. 'parked', job.id) end
  close(job.id, #job.head < HEAD and #job.head or call('STRLEN', job.name))
end
