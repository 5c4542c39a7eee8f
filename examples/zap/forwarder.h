/* A forwarder for C: hands a program's ZAP questions to durward; see forwarder.c. */
#ifndef FORWARDER_H
#define FORWARDER_H

/* Starts the thread, which ends with the context (zmq_ctx_term, zmq_ctx_shutdown).  To be called before any server
 * socket binds.  0, or -1 with errno set: EADDRINUSE when the context has a ZAP handler already. */
int zap_forward(void *context, const char *handler);

#endif
