--- How values look at the prompt of `durward lua`.

local prompt = {}

local DEPTH, ENTRIES, WIDTH = 5, 100, 80

local function quoted(text)
  if not utf8.len(text) then
    text = text:gsub("[\x80-\xff]", function(c)
      return ("\1%02x"):format(c:byte())
    end)
  end
  return '"' .. text:gsub('[%c"\\\x7f]', function(c)
    if c == "\n" then
      return "\\n"
    elseif c == "\1" then
      return "\\x"
    end
    return c:find("[\"\\]") and "\\" .. c or ("\\x%02x"):format(c:byte())
  end) .. '"'
end

-- What prints itself is not looked into.
local function is_plain(value)
  local meta = getmetatable(value)
  return meta == nil or type(meta) == "table" and rawget(meta, "__tostring") == nil and rawget(meta, "__name") == nil
end

local function before(a, b)
  if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then
    return a < b
  end
  return type(a) == type(b) and tostring(a) < tostring(b) or type(a) < type(b)
end

local shown

local function key_of(key)
  if type(key) == "string" then
    return key:find("^[%a_][%w_]*$") and key or "[" .. quoted(key) .. "]"
  end
  return "[" .. tostring(key) .. "]"
end

local function entries_of(value, depth, seen, indent)
  local list, keys, length = {}, {}, rawlen(value)
  for i = 1, math.min(length, ENTRIES) do
    list[i] = shown(rawget(value, i), depth + 1, seen, indent)
  end
  for key in next, value do
    if math.type(key) ~= "integer" or key < 1 or key > length then
      keys[#keys + 1] = key
    end
  end
  table.sort(keys, before)
  for i = 1, math.min(#keys, ENTRIES - #list) do
    list[#list + 1] = key_of(keys[i]) .. " = " .. shown(rawget(value, keys[i]), depth + 1, seen, indent)
  end
  local left = length + #keys - #list
  if left > 0 then
    list[#list + 1] = ("..%d more"):format(left)
  end
  return list
end

function shown(value, depth, seen, indent)
  if type(value) == "string" then
    return quoted(value)
  elseif type(value) ~= "table" or not is_plain(value) or seen[value] then
    return tostring(value)
  elseif next(value) == nil then
    return "{}"
  elseif depth > DEPTH then
    return "{ .. }"
  end
  seen[value] = true
  local list = entries_of(value, depth, seen, indent .. "  ")
  seen[value] = nil
  local line = "{ " .. table.concat(list, ", ") .. " }"
  if #indent + #line <= WIDTH and not line:find("\n", 1, true) then
    return line
  end
  local inner = indent .. "  "
  return "{\n" .. inner .. table.concat(list, ",\n" .. inner) .. ",\n" .. indent .. "}"
end

--- The values of an expression as one text: tables opened, everything else as print has it.
---@param ... any
---@return string
function prompt.show(...)
  local list = table.pack(...)
  for i = 1, list.n do
    local value = list[i]
    list[i] = type(value) == "table" and shown(value, 1, {}, "") or tostring(value)
  end
  return table.concat(list, "\t", 1, list.n)
end

return prompt
