-- Put before every script. KEYS[1] is the prefix of all keys of the node; the
-- arguments are taken one after the other. Nothing may be written before all
-- conditions hold, and before whatever is going to be written to has been looked
-- at: a script that fails half-way is not undone.
local call, P, at = redis.call, KEYS[1], 0

local function take()
  at = at + 1
  return ARGV[at]
end

local function count()
  return tonumber(take())
end

local kinds = {}
-- Whether a key holds something of this kind, or nothing.
local function is_a(kind, name)
  local found = kinds[name] or call('TYPE', P .. name).ok
  kinds[name] = found
  return found == kind or found == 'none'
end

local function expect(kind, name)
  if not is_a(kind, name) then
    error('damaged key ' .. name .. ' holds a ' .. kinds[name])
  end
end

local function expect_counter(name)
  if kinds[name] then return end
  local value = redis.pcall('GET', P .. name)
  if value and not (type(value) == 'string' and value:find('^%-?%d+$')) then
    error('damaged key ' .. name .. ' holds no number')
  end
  kinds[name] = 'string'
end

local function deposed()
  local epoch = take()
  if epoch == '' then return nil end
  local current = tonumber(call('HGET', P .. 'lease', 'epoch') or '0')
  if tonumber(epoch) < current then return {2, {current}, {}} end
end
