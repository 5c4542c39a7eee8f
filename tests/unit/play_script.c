/* Conversations from text: see play.h. */
#include "play.h"

#include "base/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static void *more(void *at, size_t count, size_t size)
{
    at = realloc(at, (count + 1) * size);
    if (!at)
        abort();
    return at;
}

/* One octet of a quoted word, after the backslash. */
static int escaped(const char **at)
{
    char c = *(*at)++;
    if (c == 'n')
        return '\n';
    if (c == 'r')
        return '\r';
    if (c != 'x')
        return c == '"' || c == '\\' ? c : -1;
    char digits[3] = {(*at)[0], (*at)[0] ? (*at)[1] : '\0', '\0'}, *end;
    long value = strtol(digits, &end, 16);
    if (end != digits + 2)
        return -1;
    *at += 2;
    return (int)value;
}

static int quoted_word(const char **at, struct play_word *word)
{
    word->quoted = true;
    while (**at != '"') {
        if (**at == '\0')
            return -1;
        int c = (unsigned char)*(*at)++;
        if (c == '\\' && (c = escaped(at)) < 0)
            return -1;
        word->text[word->len++] = (char)c;
    }
    ++*at;
    word->text[word->len] = '\0';
    if (**at == '*')
        word->times = strtoul(*at + 1, (char **)(uintptr_t)at, 10);
    return **at == '\0' || isspace((unsigned char)**at) ? 0 : -1;
}

static int take_word(const char **at, struct play_word *word)
{
    *word = (struct play_word){.text = calloc(1, strlen(*at) + 1), .times = 1};
    if (!word->text)
        abort();
    while (**at && !isspace((unsigned char)**at)) {
        if (**at == '"' && word->len == 0) {
            ++*at;
            return quoted_word(at, word);
        }
        if (**at == '=' && !word->key && word->len > 0) {
            word->key = dw_text_dup(dw_span_make(word->text, word->len));
            word->len = 0;
            ++*at;
            continue;
        }
        word->text[word->len++] = *(*at)++;
    }
    word->text[word->len] = '\0';
    return 0;
}

static struct play_line *take_line(const char *text, int number)
{
    struct play_line *line = calloc(1, sizeof *line);
    if (!line)
        abort();
    line->number = number;
    line->mark = *text++;
    bool bad = !strchr(":><?=!", line->mark);
    while (!bad) {
        while (isspace((unsigned char)*text))
            text++;
        if (*text == '\0')
            return line;
        bad = line->count == PLAY_MOST_WORDS || take_word(&text, &line->word[line->count++]) < 0;
    }
    line->mark = '\0';
    return line;
}

static void free_line(struct play_line *line)
{
    for (size_t i = 0; i < line->count; i++) {
        free(line->word[i].key);
        free(line->word[i].text);
    }
    free(line->source);
    free(line);
}

static int append(struct play_conversation *c, const char *text, int number)
{
    struct play_line *line = take_line(text, number);
    line->source = dw_text_dup(dw_span_str(text));
    /* Other options for a conversation that begins like an earlier one. */
    if (line->mark == ':' && c->count > 0) {
        free_line(c->line[0]);
        c->line[0] = line;
        return 0;
    }
    c->line = more(c->line, c->count, sizeof *c->line);
    c->line[c->count++] = line;
    return line->mark ? 0 : -1;
}

/* Begins as the earlier conversation of that title went. */
static int begin_like(struct play_script *script, struct play_conversation *c, const char *title)
{
    for (struct play_conversation *earlier = script->conversation; earlier < c; earlier++)
        if (strcmp(earlier->title, title) == 0) {
            for (size_t i = 0; i < earlier->count; i++)
                append(c, earlier->line[i]->source, earlier->line[i]->number);
            c->own = c->count;
            return 0;
        }
    return -1;
}

static int add_line(struct play_script *script, const char *path, const char *text, int number)
{
    struct play_conversation *c = script->count ? &script->conversation[script->count - 1] : NULL;
    if (*text == '\0' || *text == '#')
        return 0;
    if (strncmp(text, "== ", 3) == 0) {
        script->conversation = more(script->conversation, script->count, sizeof *c);
        script->conversation[script->count++] =
            (struct play_conversation){.file = path, .title = dw_text_dup(dw_span_str(text + 3))};
        return 0;
    }
    if (!c)
        return -1;
    return strncmp(text, "@ ", 2) == 0 ? begin_like(script, c, text + 2) : append(c, text, number);
}

int play_load(struct play_script *script, const char *path)
{
    char *text = NULL;
    size_t size = 0;
    int number = 0, rc = 0;
    *script = (struct play_script){0};
    FILE *file = fopen(path, "r");
    if (!file) {
        printf("%s: cannot be read\n", path);
        return -1;
    }
    while (rc == 0 && getline(&text, &size, file) >= 0) {
        text[strcspn(text, "\n")] = '\0';
        rc = add_line(script, path, text, ++number);
    }
    if (rc < 0)
        printf("%s:%d: not a line of a conversation\n", path, number);
    free(text);
    fclose(file);
    return rc;
}

void play_free(struct play_script *script)
{
    for (size_t i = 0; i < script->count; i++) {
        struct play_conversation *c = &script->conversation[i];
        for (size_t j = 0; j < c->count; j++)
            free_line(c->line[j]);
        free(c->line);
        free(c->title);
    }
    free(script->conversation);
    *script = (struct play_script){0};
}

void play_put(struct dw_buf *out, const struct play_word *word)
{
    for (size_t i = 0; i < word->times; i++)
        if (dw_buf_put(out, dw_span_make(word->text, word->len)) < 0)
            abort();
}

const struct play_word *play_key(const struct play_line *line, const char *key)
{
    for (size_t i = 0; i < line->count; i++)
        if (line->word[i].key && strcmp(line->word[i].key, key) == 0)
            return &line->word[i];
    return NULL;
}

bool play_is(const struct play_line *line, size_t index, const char *word)
{
    if (index >= line->count || line->word[index].quoted || line->word[index].key)
        return false;
    return strcmp(line->word[index].text, word) == 0;
}
