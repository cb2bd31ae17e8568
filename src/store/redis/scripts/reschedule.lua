local id, attempt, held = take(), count(), take()
local head = head_of(id)
if head == '' then return 0 end
local _, _, owner, tries = numbers_of(head)
if attempt < owner then return 0 end
local flags = head:byte(34)
if flags % 2 == 0 then flags = flags + 1 end
call('SETRANGE', P .. 'job:' .. id, 21,
  struct.pack('>I4', tries + 1) .. held .. string.char(flags))
return 1
