-- Put before every script. KEYS[1] is the prefix of all keys of the node; the
-- arguments are taken one after the other. A record is laid out as
-- store/record.rs says. Nothing may be written before all conditions hold:
-- a script that fails half-way is not undone.
local call, P, at = redis.call, KEYS[1], 0

local function take()
  at = at + 1
  return ARGV[at]
end

local function count()
  return tonumber(take())
end

-- The fixed part of an open job's record with its key (if not longer than 256
-- bytes); '' if the job is not open.
local function head_of(id)
  return call('GETRANGE', P .. 'job:' .. id, 0, 293)
end

-- seq, prev, attempt, tries
local function numbers_of(head)
  return struct.unpack('>I8I8I4I4', head, 2)
end

local function deposed()
  local epoch = take()
  if epoch == '' then return nil end
  local current = tonumber(call('HGET', P .. 'lease', 'epoch') or '0')
  if tonumber(epoch) < current then return {2, {current}, {}} end
end
