/* The smallest process that stays: for containers whose memory is measured, and in which commands are run. */
#include <unistd.h>

int main(void) {
  for (;;) pause();
}
