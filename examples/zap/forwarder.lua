--- A forwarder for Lua: hands a program's ZAP questions to durward.
--
--   local forwarder = require("forwarder")
--   local forward = forwarder.open(context, "ipc:///run/durward/zap")     -- before any server socket binds
--   forward:wait(server)                                                  -- instead of a blocking receive
--
-- libzmq asks whoever is bound to inproc://zeromq.zap.01 in its own context.  Requests go out as they are, with the
-- routing frame that leads the reply back (ZeroMQ RFC 27, "Proxy Handlers").  A Lua program has one thread, so they are
-- forwarded while it waits for its own messages.  No queue of ours has a bound, so no reply is dropped; while durward
-- is away requests wait, and nobody is admitted.
--
-- It is for LuaJIT, whose FFI reaches libzmq as it is.

local ffi = require("ffi")
local bit = require("bit")

ffi.cdef([[
  typedef struct { unsigned char octets[64]; } zmq_msg_t __attribute__((aligned(8)));
  typedef struct { void *socket; int fd; short events, revents; } zmq_pollitem_t;
  void *zmq_ctx_new(void);
  void *zmq_socket(void *context, int type);
  int zmq_setsockopt(void *socket, int option, const void *value, size_t size);
  int zmq_getsockopt(void *socket, int option, void *value, size_t *size);
  int zmq_bind(void *socket, const char *endpoint);
  int zmq_connect(void *socket, const char *endpoint);
  int zmq_poll(zmq_pollitem_t *items, int count, long timeout);
  int zmq_msg_init(zmq_msg_t *message);
  int zmq_msg_recv(zmq_msg_t *message, void *socket, int flags);
  int zmq_msg_send(zmq_msg_t *message, void *socket, int flags);
  int zmq_msg_more(const zmq_msg_t *message);
  int zmq_msg_close(zmq_msg_t *message);
  void *zmq_msg_data(zmq_msg_t *message);
  size_t zmq_msg_size(const zmq_msg_t *message);
  const char *zmq_msg_gets(const zmq_msg_t *message, const char *property);
  int zmq_errno(void);
  const char *zmq_strerror(int number);
]])

local zmq = ffi.load("libzmq.so.5")
local DEALER, ROUTER = 5, 6
local LINGER, SNDHWM, RCVHWM = 17, 23, 24
local POLLIN, DONTWAIT, SNDMORE = 1, 1, 2

local forwarder = { zmq = zmq }
forwarder.__index = forwarder

local function check(result)
  return result ~= -1 and result ~= nil or error(ffi.string(zmq.zmq_strerror(zmq.zmq_errno())), 3)
end

local function open_end(context, kind)
  local socket = zmq.zmq_socket(context, kind)
  check(socket)
  for _, option in ipairs({ LINGER, SNDHWM, RCVHWM }) do
    check(zmq.zmq_setsockopt(socket, option, ffi.new("int[1]", 0), ffi.sizeof("int")))
  end
  return socket
end

function forwarder.open(context, handler)
  local self = setmetatable({ inside = open_end(context, ROUTER), outside = open_end(context, DEALER) }, forwarder)
  check(zmq.zmq_bind(self.inside, "inproc://zeromq.zap.01"))
  check(zmq.zmq_connect(self.outside, handler))
  return self
end

local function move_all(from, to)
  local frame = ffi.new("zmq_msg_t")
  zmq.zmq_msg_init(frame)
  while zmq.zmq_msg_recv(frame, from, DONTWAIT) >= 0 do
    local more = zmq.zmq_msg_more(frame) == 1 and SNDMORE or 0
    check(zmq.zmq_msg_send(frame, to, more))
  end
  zmq.zmq_msg_close(frame)
end

--- Returns when `socket` has a message, or after so many milliseconds (false); forwards until then.
function forwarder:wait(socket, milliseconds)
  local items = ffi.new("zmq_pollitem_t[3]")
  for index, one in ipairs({ socket, self.inside, self.outside }) do
    items[index - 1].socket, items[index - 1].events = one, POLLIN
  end
  repeat
    local ready = zmq.zmq_poll(items, 3, milliseconds or -1)
    check(ready)
    move_all(self.inside, self.outside)
    move_all(self.outside, self.inside)
    if bit.band(items[0].revents, POLLIN) ~= 0 then
      return true
    end
  until ready == 0
  return false
end

return forwarder
