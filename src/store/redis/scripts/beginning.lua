-- The last seq given when the first process came to this run of the server, which
-- each does before it writes anything. KEYS[1]: prefix of all keys; ARGV[1]: the
-- run.
local seq, run = KEYS[1] .. 'seq', ARGV[1] .. ' '
local noted = redis.call('GET', KEYS[1] .. 'run')
if noted and noted:sub(1, #run) == run then return tonumber(noted:sub(#run + 1)) end
local given = redis.call('GET', seq) or '0'
redis.call('SET', KEYS[1] .. 'run', run .. given)
return tonumber(given)
