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

--- Kerberos names, as MIT's library parses and prints them.
---@class durward.principal
---@field parse fun(name: string, default_realm?: string, kind?: "principal"|"enterprise"): durward.Principal?, string?
---@field format fun(name: durward.Principal|string, form?: durward.principal.Form, realm?: string): string?, string?

---@alias durward.principal.Form "full"|"short"|"no_realm"|"display"

--- auth_to_local.  What fails gives nil, why, and a word: "NO_MATCHING_RULE", "KRB5_LNAME_NOTRANS", ..
---@class durward.a2l
---@field compile fun(rules: string|string[], options?: durward.a2l.Options): durward.a2l.Rules?, string?, string?
---@field from_krb5_conf fun(path: string): durward.a2l.Rules?, string?, string?  of its default realm
---@field from_core_site fun(path: string, options?: durward.a2l.Site): durward.a2l.Rules?, string?, string?  Hadoop's

---@class durward.a2l.Options
---@field dialect? "mit"|"hadoop"|"hadoop-mit"  "mit"
---@field default_realm? string
---@field names? table<string, string|string[]>  auth_to_local_names; mit alone has them

---@class durward.a2l.Site
---@field default_realm? string  that of krb5_conf
---@field krb5_conf? string  /etc/krb5.conf, if it is there

---@class durward.a2l.Rules
---@field map fun(self: durward.a2l.Rules, name: string|durward.Principal): string?, string?, string?
---@field explain fun(self: durward.a2l.Rules, name: string|durward.Principal): durward.a2l.Step[], string?, string?
---@field lint fun(self: durward.a2l.Rules): durward.a2l.Finding[]

--- What one rule did with a name.
---@class durward.a2l.Step
---@field rule? integer  from 1; nil: names of their own
---@field text string
---@field outcome "skipped"|"no match"|"matched"|"error"
---@field why string
---@field selection? string
---@field pattern? string
---@field substitutions durward.a2l.Edit[]
---@field user? string

---@class durward.a2l.Edit
---@field pattern string
---@field with string
---@field global boolean
---@field count integer
---@field before string
---@field after string

---@class durward.a2l.Finding
---@field rule? integer
---@field kind string
---@field message string

--- Realms of hosts, and the ways between realms.
---@class durward.realms
---@field table fun(domains: table<string, string>): durward.realms.Table  as [domain_realm] has them
---@field path fun(client: string, server: string, capaths?: durward.realms.Capaths): string[]?, string?
---@field fallback fun(host: string, options?: table): string?, string?

---@alias durward.realms.Capaths table<string, table<string, string|string[]>>

---@class durward.realms.Table
---@field lookup fun(self: durward.realms.Table, host: string): string?

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
