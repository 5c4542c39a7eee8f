--- Where each key of a configuration stands in its source.
--
-- Lua forgets lines once a table is built, so the source is read a second time, by its tokens alone: every
-- table constructor that the returned table is made of gives its keys' lines.  It follows `local` tables by
-- name, `t.key = value`, `t[#t + 1] = value`, table.insert and require.  A value that other code computes has
-- the line of the nearest key around it.

local source = {}

---@class durward.config.Token
---@field kind "name"|"string"|"number"|"op"
---@field text string  for a string, what it spells; for an operator or a name, itself
---@field line integer

---@class durward.config.Place
---@field line integer
---@field file string
---@field fields? table<string|integer, durward.config.Place>
---@field items? integer  how many items have no key
---@field same? durward.config.Place  of the variable that it is

local keywords = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat return then true "
  .. "until while"):gmatch("%a+") do
  keywords[word] = true
end

local function spelled(quoted)
  if not quoted:find("\\", 1, true) then
    return quoted:sub(2, -2)
  end
  local chunk = load("return " .. quoted, "=", "t", {})
  return chunk and chunk() or quoted
end

--- The end of the long bracket that opens at `at`, and where its text starts; nil when none opens there.
local function long_bracket(text, at)
  local _, open, level = text:find("^%[(=*)%[", at)
  if not open then
    return nil
  end
  local _, close = text:find("]" .. level .. "]", open + 1, true)
  return close or #text, open + 1
end

--- The source has compiled, so every token ends.
---@param text string
---@return durward.config.Token[]
function source.tokens(text)
  local tokens, at, line = {}, 1, 1
  local function take(kind, last, word)
    local raw = text:sub(at, last)
    if kind then
      tokens[#tokens + 1] = { kind = kind, text = word or raw, line = line }
    end
    line = line + select(2, raw:gsub("\n", ""))
    at = last + 1
  end
  while at <= #text do
    local _, last = text:find("^%s+", at)
    local close, start = long_bracket(text, at)
    local char = text:sub(at, at)
    if last then
      take(nil, last)
    elseif text:find("^%-%-", at) then
      close = long_bracket(text, at + 2)
      take(nil, close or (text:find("\n", at, true) or #text + 1) - 1)
    elseif close then
      take("string", close, text:sub(start, close - (start - at)))
    elseif char == '"' or char == "'" then
      last = at + 1
      while last < #text and text:sub(last, last) ~= char do
        last = last + (text:sub(last, last) == "\\" and 2 or 1)
      end
      take("string", last, spelled(text:sub(at, last)))
    elseif text:find("^[%a_]", at) then
      take("name", select(2, text:find("^[%w_]+", at)))
      if keywords[tokens[#tokens].text] then
        tokens[#tokens].kind = "op"
      end
    elseif text:find("^%.?%d", at) then
      take("number", select(2, text:find("^[%w.]+", at)))
    else
      local _, wide = text:find("^[=~<>]=", at)
      take("op", wide or select(2, text:find("^%.+", at)) or at)
    end
  end
  return tokens
end

local opens = { ["("] = true, ["["] = true, ["function"] = true, ["if"] = true, ["do"] = true, ["repeat"] = true }
local closes = { [")"] = true, ["]"] = true, ["end"] = true, ["until"] = true, ["}"] = true }

---@class durward.config.Scan
---@field tokens durward.config.Token[]
---@field file string
---@field names table<string, durward.config.Place>
---@field scopes { depth: integer, names: table<string, durward.config.Place> }[]
---@field twice { place: durward.config.Place, key: string|integer, first: integer }[]
---@field resolve fun(module: string): durward.config.Place?
local Scan = {}
Scan.__index = Scan

function Scan:is(at, text, kind)
  local token = self.tokens[at]
  return token ~= nil and token.text == text and token.kind == (kind or "op")
end

function Scan:kind(at)
  return self.tokens[at] and self.tokens[at].kind
end

function Scan:place(at)
  return { line = self.tokens[at].line, file = self.file }
end

--- The key that `[ .. ]` or `.name` at `at` holds, when it stands there in clear; and where it ends.
function Scan:index(at)
  local kind = self:kind(at + 1)
  if self:is(at, ".") and kind == "name" then
    return self.tokens[at + 1].text, at + 2
  end
  if self:is(at, "[") and self:is(at + 2, "]") then
    local text = self.tokens[at + 1].text
    if kind == "string" then
      return text, at + 3
    elseif kind == "number" then
      return math.tointeger(tonumber(text)), at + 3
    end
  end
  return nil, at
end

--- What a place is when it is a variable's name; a variable is known by what it was then.
local function follow(place)
  while place.same do
    place = place.same
  end
  return place
end

--- Adds what one constructor held to a place; what is known already stays.
local function merge(place, fields, items)
  place.fields = place.fields or {}
  for key, child in pairs(fields) do
    place.fields[key] = place.fields[key] or child
  end
  place.items = math.max(place.items or 0, items)
end

--- The constructor whose `{` stands at `at`, into `place`; what follows it.
function Scan:constructor(at, place)
  local fields, items = {}, 0
  at = at + 1
  while self.tokens[at] and not self:is(at, "}") do
    local child, key, after = self:place(at), self:index(at)
    if key ~= nil and self:is(after, "=") then
      at = after + 1
    elseif self:kind(at) == "name" and self:is(at + 1, "=") then
      key, at = self.tokens[at].text, at + 2
    elseif self:is(at, "[") then
      key = nil
    else
      items = items + 1
      key = items
    end
    if key ~= nil then
      if fields[key] then
        self.twice[#self.twice + 1] = { place = child, key = key, first = fields[key].line }
      end
      fields[key] = child
    end
    at = self:value(at, child)
    if self:is(at, ",") or self:is(at, ";") then
      at = at + 1
    end
  end
  merge(place, fields, items)
  return at + 1
end

--- The value that starts at `at`, up to the comma or brace that ends it; where that stands.
function Scan:value(at, place)
  local depth, start = 0, at
  while self.tokens[at] do
    local token = self.tokens[at]
    if token.kind ~= "op" then
      at = at + 1
    elseif token.text == "{" then
      at = self:constructor(at, place)
    elseif depth == 0 and (token.text == "," or token.text == ";" or token.text == "}") then
      break
    else
      depth = depth + (opens[token.text] and 1 or closes[token.text] and -1 or 0)
      at = at + 1
    end
  end
  self:alias(start, at, place)
  return at
end

--- A value that is a variable's name, or a required module, is known by it.
function Scan:alias(start, after, place)
  if self:kind(start) ~= "name" then
    return
  end
  local module = start + (self:is(start + 1, "(") and 2 or 1)
  if after == start + 1 then
    place.same = self.names[self.tokens[start].text]
  elseif self:is(start, "require", "name") and self:kind(module) == "string" then
    local root = self.resolve(self.tokens[module].text)
    if root and root.fields then
      merge(place, root.fields, root.items or 0)
    end
  end
end

--- A statement's expression: a constructor (perhaps a call's argument), a name or a require.
function Scan:expression(at, place)
  local start = at
  if self:kind(at) == "name" then
    local module = at + (self:is(at + 1, "(") and 2 or 1)
    if self:is(at, "require", "name") and self:kind(module) == "string" then
      self:alias(at, module + 1, place)
      return module + 1
    end
    while self:kind(at) == "name" or self:is(at, ".") or self:is(at, "(") do
      at = at + 1
      if self:kind(at) == "name" and self:kind(at - 1) == "name" then
        break
      end
    end
  end
  if self:is(at, "{") then
    return self:constructor(at, place)
  end
  if at == start + 1 then
    place.same = self.names[self.tokens[start].text]
  end
  return at
end

--- The place of `t.key[1]` with the `t` at `at`, but for its last key, which is told apart; what follows it.
--- Nil when `t` is no table that is known.
function Scan:target(at)
  local place, key, after = self.names[self.tokens[at].text], nil, at + 1
  if not place then
    return nil
  end
  place = follow(place)
  while self:is(after, ".") or self:is(after, "[") do
    if key ~= nil then
      place.fields = place.fields or {}
      place.fields[key] = place.fields[key] or self:place(at)
      place = follow(place.fields[key])
    end
    local next_key, next_after = self:index(after)
    if next_key == nil and self:is(after, "[") and self:is(after + 1, "#") then
      while self.tokens[next_after] and not self:is(next_after, "]") do
        next_after = next_after + 1
      end
      next_key, next_after = (place.items or 0) + 1, next_after + 1
    end
    if next_key == nil then
      return nil
    end
    key, after = next_key, next_after
  end
  return place, key, after
end

--- `t.key = value`, `t[1].key = value`, `t[#t + 1] = value` with the `t` at `at`; what follows, or nil.
function Scan:assignment(at)
  local parent, key, after = self:target(at)
  if parent and key ~= nil and self:is(after, "=") then
    return self:set(parent, key, at, after + 1)
  end
  return nil
end

--- `table.insert(t, value)` with the `table` at `at`; what follows, or nil.
function Scan:insertion(at)
  if not (self:is(at + 1, ".") and self:is(at + 2, "insert", "name") and self:is(at + 3, "(")
    and self:kind(at + 4) == "name") then
    return nil
  end
  local list, key, after = self:target(at + 4)
  if not list or not self:is(after, ",") then
    return nil
  end
  if key ~= nil then
    list.fields = list.fields or {}
    list.fields[key] = list.fields[key] or self:place(at)
    list = follow(list.fields[key])
  end
  return self:set(list, (list.items or 0) + 1, at, after + 1)
end

function Scan:set(parent, key, at, value_at)
  local child = self:place(at)
  parent.fields = parent.fields or {}
  parent.fields[key] = child
  if math.type(key) == "integer" then
    parent.items = math.max(parent.items or 0, key)
  end
  return self:expression(value_at, child)
end

--- A function's variables end with it.
function Scan:scope(token, depth)
  local inner = self.scopes[#self.scopes]
  if token.text == "function" then
    self.scopes[#self.scopes + 1] = { depth = depth, names = self.names }
    self.names = setmetatable({}, { __index = self.names })
  elseif inner and depth < inner.depth then
    self.names = table.remove(self.scopes).names
  end
end

function Scan:statements()
  local at, depth, root, shallow = 1, 0, nil, false
  while self.tokens[at] do
    local token, after = self.tokens[at], nil
    if token.kind == "op" then
      depth = depth + (opens[token.text] and 1 or closes[token.text] and -1 or 0)
      self:scope(token, depth)
      if token.text == "return" and not shallow then
        local place = { line = token.line, file = self.file }
        after = self:expression(at + 1, place)
        root, shallow = place, depth == 0
      elseif token.text == "{" then
        after = self:constructor(at, self:place(at))
      end
    elseif token.kind == "name" then
      local plain = not (self:is(at - 1, ".") or self:is(at - 1, ":") or self:is(at - 1, ","))
      local const = self:is(at + 1, "<") and self:is(at + 3, ">") and 3 or 0
      if plain and self:is(at + const + 1, "=") then
        local place = self:place(at)
        after = self:expression(at + const + 2, place)
        self.names[token.text] = place
      elseif plain and token.text == "table" and self:is(at + 3, "(") then
        after = self:insertion(at)
        depth = depth + (after and 1 or 0)
      elseif plain then
        after = self:assignment(at)
      end
    end
    at = math.max(after or 0, at + 1)
  end
  return root
end

--- Reads one file's source.  `resolve` gives the places of a module that it requires.
---@param text string
---@param file string  as messages name it
---@param resolve fun(module: string): durward.config.Place?
---@return durward.config.Place root  of the table that the file returns
---@return table twice  keys that one constructor has more than once
function source.scan(text, file, resolve)
  local scan = setmetatable({
    tokens = source.tokens(text), file = file, names = {}, scopes = {}, twice = {}, resolve = resolve,
  }, Scan)
  local root = scan:statements() or { line = 1, file = file }
  local seen = {}
  local function settle(place) -- from here on nothing needs to be followed
    local real = follow(place)
    place.fields = place.fields or real.fields
    place.items = place.items or real.items
    if place.fields and not seen[place.fields] then
      seen[place.fields] = true
      for _, child in pairs(place.fields) do
        settle(child)
      end
    end
  end
  settle(root)
  return root, scan.twice
end

--- The nearest place known of a path of keys.
---@param root durward.config.Place
---@param path (string|integer)[]
---@return durward.config.Place
function source.find(root, path)
  local place = root
  for _, key in ipairs(path) do
    local child = place.fields and place.fields[key]
    if not child then
      break
    end
    place = child
  end
  return place
end

return source
