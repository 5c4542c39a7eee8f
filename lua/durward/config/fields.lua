--- The kinds of values that a configuration has: each checks one value and gives it back plain.
--
-- A field is a function of a context, the value and the path of keys to it.  It returns the value as C wants
-- it, or notes what is wrong and returns nil.

local source = require("durward.config.source")

local fields = {}

---@class durward.config.Context
---@field door table
---@field root durward.config.Place
---@field homes table
---@field findings { file: string, line: integer, message: string }[]
local Context = {}
Context.__index = Context

---@alias durward.config.Path (string|integer)[]
---@alias durward.config.Field fun(ctx: durward.config.Context, value: any, path: durward.config.Path): any

-- Control characters would let a value forge a line.
local function printable(text)
  local function escaped(octets)
    return (octets:gsub(".", function(char)
      return ("\\x%02x"):format(char:byte())
    end))
  end
  return (tostring(text):gsub("%c", escaped):gsub("\xc2[\x80-\x9f]", escaped))
end

function Context.quote(text)
  text = printable(text)
  return '"' .. (#text > 80 and text:sub(1, 77) .. "..." or text) .. '"'
end

--- A value as a message names it.
function Context.value(value)
  if type(value) == "string" then
    return Context.quote(value)
  elseif type(value) == "number" and value ~= value then
    return "nan"
  elseif type(value) == "number" then
    return math.type(value) == "integer" and ("%d"):format(value) or ("%.14g"):format(value)
  elseif type(value) == "boolean" or value == nil then
    return tostring(value)
  end
  return "a " .. type(value)
end

--- "zmtp[1].tls.key"
---@param path durward.config.Path
function Context.show(path)
  local out = {}
  for index, key in ipairs(path) do
    if math.type(key) == "integer" then
      out[#out + 1] = "[" .. key .. "]"
    elseif type(key) == "string" and key:find("^[%a_][%w_]*$") then
      out[#out + 1] = (index > 1 and "." or "") .. key
    else
      out[#out + 1] = "[" .. Context.value(key) .. "]"
    end
  end
  return table.concat(out)
end

function Context.path(path, ...)
  local longer = table.move(path, 1, #path, 1, {})
  for _, key in ipairs({ ... }) do
    longer[#longer + 1] = key
  end
  return longer
end

--- Notes a mistake at the nearest place known of `path`; returns nil, so that a field may return it.
function Context:note(path, format, ...)
  local place = source.find(self.root, path)
  self.findings[#self.findings + 1] = {
    file = place.file,
    line = place.line,
    message = printable(format:format(...)),
  }
  return nil
end

--- The value was to be `wanted`.
function Context:wants(path, wanted, value)
  local what = type(value) == "string" and self.quote(value) or type(value) == "number" and self.value(value)
    or "a " .. type(value)
  return self:note(path, "%s wants %s, not %s", self.show(path), wanted, what)
end

---@return durward.config.Context
function fields.context(door, root, homes)
  return setmetatable({ door = door, root = root, homes = homes, findings = {} }, Context)
end

local required = setmetatable({}, { __mode = "k" })

--- The field must be there; `hint` tells what it is for.
---@param field durward.config.Field
function fields.required(field, hint)
  local function wrapped(ctx, value, path)
    return field(ctx, value, path)
  end
  required[wrapped] = hint
  return wrapped
end

function fields.string(ctx, value, path)
  if type(value) ~= "string" then
    return ctx:wants(path, "a string", value)
  elseif value == "" then
    return ctx:note(path, "%s is empty", ctx.show(path))
  elseif value:find("%c") then
    return ctx:note(path, "%s has a control character: %s", ctx.show(path), ctx.quote(value))
  elseif not utf8.len(value) then
    return ctx:note(path, "%s is not UTF-8", ctx.show(path))
  end
  return value
end

--- Text without spaces.
function fields.word(ctx, value, path)
  local text = fields.string(ctx, value, path)
  if text and text:find("%s") then
    return ctx:note(path, "%s has a space: %s", ctx.show(path), ctx.quote(text))
  end
  return text
end

function fields.realm(ctx, value, path)
  local text = fields.word(ctx, value, path)
  if text and text:find("[@/]") then
    return ctx:note(path, "%s is not a realm's name: %s", ctx.show(path), ctx.quote(text))
  end
  return text
end

function fields.boolean(ctx, value, path)
  if type(value) ~= "boolean" then
    return ctx:wants(path, "true or false", value)
  end
  return value
end

--- A file's or folder's path, made absolute; relative ones start in the configuration's folder.
function fields.path(ctx, value, path)
  local text = fields.string(ctx, value, path)
  if not text then
    return nil
  elseif text:find("^~") then
    return ctx:note(path,
      "%s is %s, but '~' is not expanded: write the whole path, or os.getenv(\"HOME\") .. \"%s\"", ctx.show(path),
      ctx.quote(text), printable(text:gsub("^~[^/]*", "")))
  elseif text:sub(1, 1) == "/" then
    return text
  end
  return (ctx.door.folder == "/" and "" or ctx.door.folder) .. "/" .. text:gsub("^%./+", "")
end

--- "FILE:/run/x", a path, or a cache of another kind, which is taken as it stands.
function fields.ccache(ctx, value, path)
  local text = fields.string(ctx, value, path)
  local kind, rest = (text or ""):match("^(%u+):(.*)")
  if not text or not kind then
    return text and fields.path(ctx, text, path)
  elseif kind == "FILE" or kind == "DIR" then
    local where = fields.path(ctx, rest, path)
    return where and kind .. ":" .. where
  end
  return text
end

---@param least number
---@param greatest number
function fields.number(least, greatest)
  return function(ctx, value, path)
    if type(value) ~= "number" or not (value >= least and value <= greatest) then
      return ctx:wants(path, ("a number from %s to %s"):format(ctx.value(least), ctx.value(greatest)), value)
    end
    return value
  end
end

function fields.integer(least, greatest)
  least, greatest = math.tointeger(least), math.tointeger(greatest)
  return function(ctx, value, path)
    local whole = type(value) == "number" and math.tointeger(value)
    if not whole or whole < least or whole > greatest then
      return ctx:wants(path, ("a whole number from %d to %d"):format(least, greatest), value)
    end
    return whole
  end
end

--- One of a few words.
function fields.choice(...)
  local words, quoted = { ... }, {}
  for index, word in ipairs(words) do
    words[word] = true
    quoted[index] = '"' .. word .. '"'
  end
  local last = table.remove(quoted)
  local wanted = table.concat(quoted, ", ") .. " or " .. last
  return function(ctx, value, path)
    if type(value) ~= "string" then
      return ctx:wants(path, wanted, value)
    elseif words[value] then
      return value
    end
    local near = ctx.door.nearest(value:lower(), words)
    return ctx:note(path, "%s wants %s, not %s%s", ctx.show(path), wanted, ctx.quote(value),
      near and ('; did you mean "%s"?'):format(near) or "")
  end
end

local function address(ctx, value, path)
  local text = value
  if type(text) ~= "string" then
    return ctx:wants(path, 'an address, as in "tcp://*:5570"', value)
  end
  local found, why = ctx.door.address(text)
  if not found then
    return ctx:note(path, "%s: %s", ctx.show(path), why)
  end
  return found
end

function fields.address_to_bind(ctx, value, path)
  return address(ctx, value, path)
end

function fields.address_to_connect(ctx, value, path)
  local found = address(ctx, value, path)
  if found and found.host == "*" then
    return ctx:note(path, "%s is %s, but '*' is no host to connect to", ctx.show(path), ctx.quote(value))
  elseif found and found.port == 0 then
    return ctx:note(path, "%s is %s, but 0 is no port to connect to", ctx.show(path), ctx.quote(value))
  end
  return found
end

function fields.cidr(ctx, value, path)
  if type(value) ~= "string" then
    return ctx:wants(path, 'an address range, as in "192.0.2.0/24"', value)
  end
  local sound, why = ctx.door.cidr(value)
  if not sound then
    return ctx:note(path, "%s: %s", ctx.show(path), why)
  end
  return value
end

--- A socket file's permissions.
function fields.mode(ctx, value, path)
  local wanted = 'octal digits in a string, as in "0660"'
  if type(value) ~= "string" or not value:find("^0?[0-7][0-7][0-7]$") then
    return ctx:wants(path, wanted, value)
  end
  return tonumber(value, 8)
end

function fields.group(ctx, value, path)
  local id = math.type(value) == "integer" and value or type(value) == "string" and tonumber(value:match("^%d+$"))
  if id and id >= 0 and id < 2 ^ 32 - 1 then
    return id
  end
  local name = fields.string(ctx, value, path)
  if not name then
    return nil
  end
  return ctx.door.group(name) or ctx:note(path, "%s: this machine has no group %s", ctx.show(path), ctx.quote(name))
end

local function sorted(value)
  local keys = {}
  for key in next, value do
    keys[#keys + 1] = key
  end
  table.sort(keys, function(a, b)
    if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then
      return a < b
    end
    return type(a) == "number" and type(b) ~= "number" or type(a) == "string" and type(b) ~= "string"
      and type(b) ~= "number"
  end)
  return keys
end

--- A list of values, without the bad ones; `from` has the places they had.  `empty` says what an empty one would
--- mean, when that is a mistake; `listeners` that one listener alone is the likely mistake.
---@param field durward.config.Field
function fields.list(field, empty, listeners)
  return function(ctx, value, path)
    if type(value) ~= "table" then
      return ctx:wants(path, listeners and "a list of listeners" or "a list", value)
    end
    local keys, found, count = sorted(value), { from = {} }, 0
    for _, key in ipairs(keys) do
      local here = ctx.path(path, key)
      if math.type(key) ~= "integer" or key < 1 then
        if listeners and type(key) == "string" then
          return ctx:note(path, "%s wants a list of listeners, as in %s = { { %s = .. } }", ctx.show(path),
            ctx.show(path), printable(key))
        end
        ctx:note(here, "%s wants a list, which has no key %s", ctx.show(path), ctx.value(key))
      elseif key > count + 1 then
        ctx:note(path, "%s is missing in the list (nil)", ctx.show(ctx.path(path, count + 1)))
        count = key
      else
        count = key
      end
      if math.type(key) == "integer" and key >= 1 then
        local plain = field(ctx, rawget(value, key), here)
        found[#found + 1] = plain
        if plain ~= nil then
          found.from[#found] = key
        end
        if listeners and plain then
          plain.at = here
        end
      end
    end
    if #keys == 0 and empty then
      return ctx:note(path, "%s is empty: %s", ctx.show(path), empty)
    end
    return found
  end
end

function fields.one_or_list(field)
  local list = fields.list(field, "leave it out, or name one")
  return function(ctx, value, path)
    if type(value) == "table" then
      return list(ctx, value, path)
    elseif type(value) ~= "string" then
      return ctx:wants(path, "a string or a list of strings", value)
    end
    local plain = field(ctx, value, path)
    return plain and { plain }
  end
end

--- A table of records whose keys are names of the operator's own; given back as a list.
function fields.map(field)
  return function(ctx, value, path)
    if type(value) ~= "table" then
      return ctx:wants(path, "a table", value)
    end
    local found = {}
    for _, key in ipairs(sorted(value)) do
      local here = ctx.path(path, key)
      if type(key) ~= "string" then
        ctx:note(here, "%s wants names as keys, not %s", ctx.show(path), ctx.value(key))
      else
        local plain = field(ctx, rawget(value, key), here)
        found[#found + 1] = plain
        if plain then
          plain.at = here
        end
      end
    end
    return found
  end
end

--- Returns the key that was likely meant.
local function unknown_key(ctx, known, key, path)
  local here = ctx.path(path, key)
  if type(key) ~= "string" then
    local where = #path > 0 and ctx.show(path) or "the configuration"
    return ctx:note(here, "%s has a value without a key: %s", where, ctx.value(key))
  end
  local words = {}
  for word in pairs(known) do
    words[#words + 1] = word
  end
  table.sort(words)
  local home
  for _, one in ipairs(ctx.homes) do
    home = home or one[2] ~= known and one[2][key] and one[1]
  end
  local near = ctx.door.nearest(key:lower(), words)
  local advice = near and (", did you mean '%s'?"):format(near) or home and (": it belongs %s"):format(home)
    or (": known are " .. table.concat(words, ", "))
  ctx:note(here, "unknown key '%s'%s", ctx.show(here), advice)
  return near
end

--- A table with known keys.  What is wrong in it stands in `broken`, so that it is not missed again.
---@param known table<string, durward.config.Field>
function fields.record(known)
  return function(ctx, value, path)
    if type(value) ~= "table" then
      return ctx:wants(path, "a table", value)
    end
    local found, meant = { broken = {} }, {}
    for _, key in ipairs(sorted(value)) do
      local field = type(key) == "string" and known[key]
      if field then
        found[key] = field(ctx, rawget(value, key), ctx.path(path, key))
        found.broken[key] = found[key] == nil or nil
      else
        meant[unknown_key(ctx, known, key, path) or ""] = true
      end
    end
    for _, key in ipairs(sorted(known)) do
      found.broken[key] = found.broken[key] or meant[key] and found[key] == nil or nil
      if required[known[key]] and rawget(value, key) == nil and not meant[key] then
        ctx:note(path, "%s has no '%s': %s", ctx.show(path), key, required[known[key]])
      end
    end
    return found
  end
end

--- "file:line" of every key down to `depth`, by its path.
function fields.places(value, root, depth)
  local places = {}
  local function walk(part, path)
    local place = source.find(root, path)
    places[Context.show(path)] = place.file .. ":" .. place.line
    if type(part) == "table" and #path < depth then
      for key, child in next, part do
        if type(key) == "string" or math.type(key) == "integer" then
          walk(child, Context.path(path, key))
        end
      end
    end
  end
  walk(value, {})
  return places
end

return fields
