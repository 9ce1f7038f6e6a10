#ifndef STRAKE_SERVE_H
#define STRAKE_SERVE_H

/* Answers requests on `channel` until its owner closes it; then ends every child, and itself. */
void serve(int channel) __attribute__((noreturn));

#endif
