local id, attempt = take(), count()
local head = head_of(id)
if head == '' then return 0 end
local _, _, owner = numbers_of(head)
local flags = head:byte(34)
if attempt < owner or math.floor(flags / 2) % 2 == 1 then return 0 end
call('SETRANGE', P .. 'job:' .. id, 33, string.char(flags + 2))
return 1
