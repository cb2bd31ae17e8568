local values = {}
for index = 1, #ARGV do
  -- What is no row can be read as nothing: the others are as they are.
  local value = redis.pcall('HGET', P .. 's:' .. ARGV[index], '')
  values[index] = type(value) == 'table' and '' or value
end
return values
