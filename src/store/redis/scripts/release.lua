local refusal = deposed()
if refusal then return refusal end
local attempts = {}
for index = 1, count() do
  local id = take()
  local head = head_of(id)
  attempts[index] = 0
  if head ~= '' then
    local _, _, owner = numbers_of(head)
    attempts[index] = owner + 1
    call('SETRANGE', P .. 'job:' .. id, 17, struct.pack('>I4', owner + 1))
  end
end
return {0, attempts, {}}
