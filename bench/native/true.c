/* The command that every trial runs: static, so that what is measured is the start and not a dynamic loader. */
int main(void) { return 0; }
