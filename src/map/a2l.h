/* auth_to_local: from a Kerberos principal to a local user, by the rules that krb5.conf(5) and Hadoop's
 * core-site.xml hold.
 *
 * Three dialects, each as its own engine does it: MIT's library 1.20 (POSIX extended regular expressions in
 * the C locale, rules read lazily, auth_to_local_names first); Hadoop's KerberosName (java.util.regex, rules
 * read whole) with the "hadoop" mechanism, and with its "mit" mechanism.  Where an engine would go on for
 * ever, or longer than a login may take, there is an error instead.
 *
 * A set of rules belongs to one thread at a time. */
#ifndef DW_MAP_A2L_H
#define DW_MAP_A2L_H

#include "auth/principal.h"

#define DW_A2L_RULES_MAX 1000
#define DW_A2L_TEXT_MAX (256 * 1024) /* octets of all rules together */
#define DW_A2L_NAME_MAX 2048 /* octets of a principal, a selection, a user */

enum dw_a2l_dialect { DW_A2L_MIT, DW_A2L_HADOOP, DW_A2L_HADOOP_MIT };

/* Why there is no user.  The first two are MIT's own, the next six Hadoop's exceptions. */
enum dw_a2l_code {
    DW_A2L_MAPPED,
    DW_A2L_NO_TRANSLATION, /* KRB5_LNAME_NOTRANS */
    DW_A2L_BAD_FORMAT, /* KRB5_CONFIG_BADFORMAT */
    DW_A2L_NO_MATCHING_RULE,
    DW_A2L_MALFORMED_NAME, /* MIT: KRB5_PARSE_MALFORMED */
    DW_A2L_BAD_FORMAT_STRING,
    DW_A2L_INVALID_RULE,
    DW_A2L_INVALID_REGEX,
    DW_A2L_BAD_REPLACEMENT,
    DW_A2L_ENDLESS, /* the engine would never return */
    DW_A2L_LIMIT, /* of time, memory or length */
    DW_A2L_FAILED, /* memory is out */
};

/* "KRB5_LNAME_NOTRANS", "NO_MATCHING_RULE", "ENDLESS", .. */
const char *dw_a2l_code_word(enum dw_a2l_code code);
const char *dw_a2l_dialect_word(enum dw_a2l_dialect dialect);
/* "mit", "hadoop", "hadoop-mit"; -1 when it is none of them. */
int dw_a2l_dialect_parse(const char *word);

/* An explicit mapping: the principal as printed without its realm, and its user.  Of two the last stands. */
struct dw_a2l_name {
    struct dw_span principal, user;
};

struct dw_a2l_options {
    enum dw_a2l_dialect dialect;
    struct dw_span default_realm; /* absent: names need a realm, and DEFAULT maps nobody */
    const struct dw_a2l_name *names; /* MIT only */
    size_t name_count;
};

struct dw_a2l;

/* Copies what it is given.  MIT: one rule an entry, none is DEFAULT; a rule that cannot be read is an error
 * only once it is reached.  Hadoop: the entries are the lines of one text, none is DEFAULT, and a rule that
 * cannot be read is an error here.  NULL with `err` and `code` told. */
struct dw_a2l *dw_a2l_compile(const struct dw_span *rules, size_t count, const struct dw_a2l_options *options,
                              enum dw_a2l_code *code, struct dw_error *err);
/* The rules and names that a krb5.conf has for its default realm, as MIT's library would read them; what other
 * realms have is for lint to complain of.  NULL with `err` and `code` told. */
struct dw_a2l *dw_a2l_from_krb5_conf(const char *path, enum dw_a2l_code *code, struct dw_error *err);
struct dw_a2l_site {
    struct dw_span default_realm; /* absent: that of `krb5_conf` */
    const char *krb5_conf; /* where Hadoop takes its default realm from; NULL: there is none */
};
/* The rules and the mechanism that a core-site.xml sets; without rules it is DEFAULT.  NULL with `err` and `code`
 * told. */
struct dw_a2l *dw_a2l_from_core_site(const char *path, const struct dw_a2l_site *options, enum dw_a2l_code *code,
                                     struct dw_error *err);
void dw_a2l_free(struct dw_a2l **a2l);
size_t dw_a2l_count(const struct dw_a2l *a2l); /* of rules */
enum dw_a2l_dialect dw_a2l_dialect_of(const struct dw_a2l *a2l);

enum dw_a2l_outcome { DW_A2L_SKIPPED, DW_A2L_NO_MATCH, DW_A2L_MATCHED, DW_A2L_ERROR };
const char *dw_a2l_outcome_word(enum dw_a2l_outcome outcome);

struct dw_a2l_edit {
    struct dw_span pattern, with;
    bool global;
    size_t count; /* replacements made */
    struct dw_span before, after;
};

/* What one rule did with a name. */
struct dw_a2l_step {
    size_t rule; /* from 1; 0: auth_to_local_names, or Hadoop's short cut for a plain name */
    struct dw_span text;
    enum dw_a2l_outcome outcome;
    struct dw_span why; /* a sentence */
    struct dw_span selection; /* absent when the rule never came to it */
    struct dw_span pattern; /* what the selection was matched with; absent without one */
    struct dw_span user; /* absent unless matched */
    struct dw_a2l_edit *edits;
    size_t edit_count;
};

/* Everything in it lives until dw_a2l_report_free. */
struct dw_a2l_report {
    struct dw_a2l_step *steps;
    size_t count;
    struct dw_a2l_block *blocks; /* private */
    bool incomplete; /* memory was out */
};
void dw_a2l_report_free(struct dw_a2l_report *report);

/* The user that `name`, a principal as text, is mapped to, appended to `user`.  Not 0: nothing was appended
 * and `err` says why.  `report` may be NULL; else it starts zeroed, is filled in either case, and is ended
 * with dw_a2l_report_free. */
enum dw_a2l_code dw_a2l_map(struct dw_a2l *a2l, struct dw_span name, struct dw_buf *user,
                            struct dw_a2l_report *report, struct dw_error *err);

/* What is suspicious about the rules. */
struct dw_a2l_finding {
    size_t rule; /* from 1; 0: the set as a whole */
    struct dw_span kind; /* "endless", "invalid", "never-matches", "unreachable", "collision", "any-realm", .. */
    struct dw_span message;
};
struct dw_a2l_findings {
    struct dw_a2l_finding *list;
    size_t count;
    struct dw_a2l_report notes; /* private: owns the text */
};
void dw_a2l_lint(struct dw_a2l *a2l, struct dw_a2l_findings *findings);
void dw_a2l_findings_free(struct dw_a2l_findings *findings);

#endif
