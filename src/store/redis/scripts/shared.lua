-- Put before every script. KEYS[1] is the prefix of all keys of the node; the
-- arguments are taken one after the other. Nothing may be written before all
-- conditions hold: a script that fails half-way is not undone.
local call, P, at = redis.call, KEYS[1], 0

local function take()
  at = at + 1
  return ARGV[at]
end

local function count()
  return tonumber(take())
end

local function deposed()
  local epoch = take()
  if epoch == '' then return nil end
  local current = tonumber(call('HGET', P .. 'lease', 'epoch') or '0')
  if tonumber(epoch) < current then return {2, {current}, {}} end
end
