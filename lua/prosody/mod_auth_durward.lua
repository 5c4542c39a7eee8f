-- Prosody's authentication by durward, around its own: who comes through durward is let in by a token that is good for
-- one login and a few seconds; native users go on with what the native provider offers them (SCRAM, PLAIN).
--
--   plugin_paths = { "/usr/share/durward/lua/prosody" }
--   VirtualHost "example.com"
--     authentication = "durward"
--     durward_secret_file = "durward.key"         -- what durward's own secret_file holds, or a JWK of it
--     durward_addresses = { "127.0.0.1", "::1" }  -- where durward runs, networks as well; these are the defaults
--     durward_native = "internal_hashed"          -- the provider of the native users
--     durward_create = true                       -- a user's first token makes an account; nobody knows its password
--
-- The token is the password of SASL PLAIN: "v1.EXPIRY.NONCE.MAC", its MAC the HMAC-SHA256, in hex, of
-- "v1.EXPIRY.NONCE.user@host" under the secret.
-- luacheck: globals module

local base64 = require "util.encodings".base64
local ip = require "util.ip"
local json = require "util.json"
local hashes = require "util.hashes"
local new_sasl = require "util.sasl".new
local random_bytes = require "util.random".bytes
local to_hex = require "util.hex".to
local now = os.time

local most_seconds = 600 -- a token that ends later is not durward's
local least_secret = 16

-- A JWK is what an ejabberd wants as its key: one file may serve both.
local function from_jwk(text)
  local jwk = text:match("^%s*{") and json.decode(text)
  if type(jwk) ~= "table" then
    return nil
  end
  if jwk.kty ~= "oct" or type(jwk.k) ~= "string" then
    return ""
  end
  local key = jwk.k:gsub("=+$", ""):gsub("[-_]", { ["-"] = "+", _ = "/" })
  return base64.decode(key .. ("="):rep(-#key % 4)) or ""
end

local function read_secret()
  local path = module:get_option_path("durward_secret_file", nil, "config")
  if not path then
    error("durward_secret_file is not set: it names the file that durward's backend.secret_file names", 0)
  end
  local file, why = io.open(path, "rb")
  if not file then
    error("durward_secret_file: " .. why, 0)
  end
  local text = file:read("*a") or ""
  file:close()
  local secret = from_jwk(text) or text:gsub("[\r\n]+$", "")
  if #secret < least_secret then
    error(("durward_secret_file: %s holds %d octets, at least %d are needed"):format(path, #secret, least_secret), 0)
  end
  return secret
end

local function read_networks()
  local networks = {}
  for entry in module:get_option_set("durward_addresses", { "127.0.0.1", "::1" }) do
    local address, bits = ip.parse_cidr(entry)
    if not address then
      error(("durward_addresses: %q is no address"):format(tostring(entry)), 0)
    end
    networks[#networks + 1] = { address = address, bits = bits }
  end
  return networks
end

local function native_provider()
  local name = module:get_option_string("durward_native", "internal_hashed")
  module:depends("auth_" .. name)
  for _, provider in ipairs(module:get_host_items("auth-provider")) do
    if provider.name == name then
      return provider
    end
  end
  error(("durward_native: %q is no authentication provider"):format(name), 0)
end

local secret, networks, native = read_secret(), read_networks(), native_provider()
local create = module:get_option_boolean("durward_create", true)
local seen, next_sweep = {}, 0 -- nonces and when they end

local function is_from_durward(session)
  local address = session and session.ip and ip.new_ip(session.ip)
  for _, network in ipairs(networks) do
    if address and ip.match(address, network.address, network.bits) then
      return true
    end
  end
  return false
end

local function sweep(time)
  if time < next_sweep then
    return
  end
  next_sweep = time + 60
  for nonce, expiry in pairs(seen) do
    if expiry < time then
      seen[nonce] = nil
    end
  end
end

-- Why a token is refused, or nil; a good one is used up by it.
local function wrong_with(session, username, head, expiry, nonce, mac)
  local time = now()
  local wanted = hashes.hmac_sha256(secret, head .. "." .. username .. "@" .. module.host, true)
  if not is_from_durward(session) then
    return "it comes from an address that durward_addresses does not name"
  elseif not hashes.equals(wanted, mac) then
    return "it is not for this user, or made with another secret"
  elseif expiry < time then
    return "it has expired: do the clocks agree?"
  elseif expiry > time + most_seconds then
    return "it is good for too long"
  elseif seen[nonce] then
    return "it has been used before"
  end
  sweep(time)
  seen[nonce] = expiry
  return nil
end

local provider = {}
for name, member in pairs(native) do
  provider[name] = member
end
provider.name = "durward"

local function test_token(session, username, password)
  local head, expiry, nonce, mac = password:match("^(v1%.(%d+)%.(%x+))%.(%x+)$")
  if not head or #expiry > 12 then
    return nil
  end
  local why = wrong_with(session, username, head, tonumber(expiry), nonce, mac)
  if why then
    module:log("warn", "A token for %s from %s is refused: %s", username, session and session.ip or "nowhere", why)
    return false
  end
  if create and not native.user_exists(username) then
    local ok, trouble = native.create_user(username, to_hex(random_bytes(32)))
    if not ok then
      module:log("warn", "No account could be made for %s: %s", username, trouble)
    end
  end
  return true
end

-- Only PLAIN is ours, and a password that is no token goes on to the native test.
local function wrap(session, profile)
  local plain_profile = {}
  for name, member in pairs(profile) do
    plain_profile[name] = member
  end
  plain_profile.plain = nil
  function plain_profile.plain_test(sasl, username, password, realm)
    local good = test_token(session, username, password)
    if good ~= nil then
      return good, true
    elseif profile.plain_test then
      return profile.plain_test(sasl, username, password, realm)
    end
    return native.test_password(username, password), true
  end
  local wrapped = new_sasl(module.host, profile)
  local select_native = wrapped.select
  function wrapped:select(mechanism)
    self.profile = mechanism == "PLAIN" and plain_profile or profile
    return select_native(self, mechanism)
  end
  function wrapped.clean_clone()
    return wrap(session, profile)
  end
  return wrapped
end

function provider.get_sasl_handler(session)
  return wrap(session, native.get_sasl_handler(session).profile)
end

-- A token stays used when the module is loaded again.
function module.save()
  return { seen = seen }
end

function module.restore(saved)
  seen = saved.seen or {}
end

module:provides("auth", provider)
