---@meta
-- What LuaLS knows of durward's values.  Nothing here runs.

--- The question.  Read-only; what is not known is nil; an unknown field is an error.  Usable during the call that
--- it was given to, not after.
---@class durward.Event
---@field id string  the same at every stage of a connection
---@field time number  seconds since 1970
---@field front "zmtp"|"zap"|"xmpp"|"dovecot"
---@field stage "connect"|"realm"|"map"|"authorize"|"close"
---@field mechanism? string  "GSSAPI", "PLAIN", "CURVE", "NULL", ..
---@field listener? string  its configured name
---@field peer durward.Event.Peer
---@field principal? durward.Principal
---@field user? string  what `map` named; from stage authorize on
---@field service? string  the key that the client's ticket is for: "zmq/host@REALM"
---@field domain? string
---@field hostname? string
---@field authzid? string
---@field gss? durward.Event.Gss
---@field zap? durward.Event.Zap
---@field plain? durward.Event.Plain
---@field curve? durward.Event.Curve
---@field credentials? string[]  the frames of an unknown ZAP mechanism, not decoded
---@field tls? durward.Event.Tls
---@field closed? durward.Event.Closed

---@class durward.Event.Peer
---@field address? string  "192.0.2.7", "::1", "local"
---@field port? integer
---@field uid? integer
---@field gid? integer
---@field pid? integer

--- tostring() is the full name.
---@class durward.Principal
---@field name string  in full, quoted as Kerberos does it
---@field realm string
---@field primary string  the first component
---@field instance? string  the second component
---@field components string[]

---@class durward.Event.Gss
---@field lifetime? integer  seconds that were left of the ticket; nil: without end
---@field expires? number  seconds since 1970; nil: without end
---@field indicators? string[]  RFC 8129
---@field attributes? table<string, string[]>  RFC 6680
---@field mutual boolean
---@field confidential boolean
---@field delegated boolean
---@field channel_bound boolean
---@field cross_realm boolean

---@class durward.Event.Zap
---@field identity? string
---@field request_id? string

---@class durward.Event.Plain
---@field username? string
---@field password? durward.Secret

--- Never printed: tostring() is "<secret>".
---@class durward.Secret
---@field equals fun(self: durward.Secret, text: string): boolean  in constant time
---@field verify fun(self: durward.Secret, hash: string): boolean  against a crypt(3) hash

--- Comparing what must not be guessed.  A hash of crypt(3) that costs more than a login should is not used.
---@class durward.secret
---@field equal fun(a: string|durward.Secret, b: string|durward.Secret): boolean  in constant time
---@field verify fun(password: string|durward.Secret, hash: string): boolean?, string?

--- Local time.  The function gives the weekday (1 is Monday) and the seconds since midnight.
---@class durward.zone
---@field open fun(name: string): (fun(time: number): integer, integer)?, string?

---@class durward.Event.Curve
---@field key? string  Z85, 40 characters
---@field raw? string  the same key as its 32 octets

--- Credentials from files; declared while the policy is loaded, paths taken from its folder.
---@class durward.zap
---@field users fun(path: string): durward.Users  lines of name:hash, hashes of crypt(3)
---@field certificates fun(folder: string): durward.Certificates  public certificates as czmq's zcert writes them

---@class durward.Users
---@field verify fun(self: durward.Users, name: string, password: durward.Secret|string): boolean, string?

---@class durward.Certificates
---@field find fun(self: durward.Certificates, key: string): durward.Certificate?, string?

---@class durward.Certificate
---@field name string  of its file, without an ending
---@field metadata table<string, string>

---@class durward.Event.Tls
---@field version? string
---@field cipher? string

---@class durward.Event.Closed
---@field reason? string
---@field seconds number
---@field bytes_in integer
---@field bytes_out integer

--- What durward.allow, deny and temporary make; it cannot be changed.
---@class durward.Decision
---@field verdict "allow"|"deny"|"temporary"
---@field rule? string

---@class durward.Refusal
---@field reason? string  for the log and journal, never for the peer

---@class durward.Allow : durward.Refusal
---@field user? string  in place of the mapped one
---@field backend? string  in place of the listener's: "tcp://127.0.0.1:5571", "ipc:///run/app"
---@field properties? table<string, string>  sent to the backend
---@field expires? number  seconds since 1970; never later than the ticket's end
---@field jid? string  XMPP: who they are at the server, in place of user@domain; a client that asks (authzid) to act
---for that one may
---@field identity? string  the ZMTP identity that the client is held to
---@field sockets? string[]  socket types that may pass: { "SUB" }

---@class durward.Realm
---@field realm? string
---@field service? string  the only one that is answered to; XMPP: none says all that the listener has
---@field keytab? string  one that the configuration names
---@field hostname? string  XMPP: what clients are told, and ask tickets for

--- What a policy file returns.  Any hook may be missing; nothing decided is denied.
---@class durward.Policy
---@field connect? fun(event: durward.Event): durward.Decision?  before any cryptography; nil goes on
---@field realm? fun(event: durward.Event): string|durward.Realm|durward.Decision|nil
---@field map? durward.Map
---@field authorize? durward.Rule
---@field close? fun(event: durward.Event)

--- A decision as durward.kit gives it to specs.
---@class durward.kit.Decision
---@field verdict "allow"|"deny"|"temporary"
---@field user? string
---@field rule? string
---@field reason? string
---@field backend? string
---@field identity? string
---@field jid? string
---@field expires? number
---@field properties? table<string, string>
---@field sockets? string[]
---@field realm? string
---@field service? string
---@field keytab? string
---@field hostname? string
---@field policy? string  the file whose word stands
---@field trace durward.kit.Step[]

---@class durward.kit.Step
---@field hook string
---@field text string
---@field at? string
---@field want? string  of a look-up: "TXT", "groups", "roster:staff"
---@field key? string
---@field answer? any
---@field failed? string  why there is no answer
