local refusal = deposed()
if refusal then return refusal end
for guard = 1, count() do
  local op, row = take(), P .. 's:' .. take()
  local holds
  if op == 'A' then
    holds = call('EXISTS', row) == 0
  else
    local value = take()
    holds = call('HGET', row, '') == value and call('HLEN', row) == 1
  end
  if not holds then return {1, {guard - 1}, {}} end
end
local stored = apply(take_changes(''))
return {0, stored, {}}
