/* A toy in place of the GSSAPI room, so that protocol machines run without a KDC, and from a text file.
 *
 * Tokens are words (an octet 60, with which real initial tokens begin, may lead):
 *
 *   "toy:alice@HOME.EXAMPLE"         known at once as that principal; answered with "toy:done"
 *   "toy:more:alice@HOME.EXAMPLE"    answered with "toy:more"; whole once "toy:rest" has come, answered "toy:done"
 *   "toy:silent:alice@HOME.EXAMPLE"  known at once, and nothing is answered
 *   "toy:for=xmpp/a.example@R;alice@.."  the ticket is for that service; "toy:bind=octets;alice@.." its bindings: both may
 *                                    stand, in this order, before "more:" and "silent:"
 *   "toy:fail:denied", "toy:fail:temporary"   refused with that kind of error; anything else is no token
 *
 * An initiator begins with "toy:<its principal>" and takes "toy:more", "toy:done" and "toy:fail:..".
 *
 * Wrapping marks rather than protects: 54, flags, a 4-octet number, a 4-octet sum of the content, and the content
 * with every octet changed.  The mark tells when confidentiality was left out, and a token that is out of turn
 * (replayed), reflected, cut or altered. */
#ifndef DW_TESTS_TOY_GSS_H
#define DW_TESTS_TOY_GSS_H

#include "gss/context.h"
#include "gss/request.h"

enum { TOY_CLEAR = 0, TOY_CONFIDENTIAL = 1, TOY_FROM_ACCEPTOR = 2 };
enum { TOY_OVERHEAD = 10 };

/* Up: any token that has the form is taken, whatever its number and sum, so that a fuzzer gets inside. */
extern bool toy_trusts;

/* A credential for either side. */
const struct dw_cred *toy_cred(void);

/* Appends what the other side's gss_wrap would give for its `number`th message, counted from 0. */
int toy_wrap(struct dw_buf *out, unsigned flags, uint32_t number, struct dw_span plain);

#endif
