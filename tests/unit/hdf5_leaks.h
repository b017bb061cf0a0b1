/* For tests that let HDF5 open damaged files, of which HDF5 1.10 loses memory. */
#ifndef PB_TESTS_HDF5_LEAKS_H
#define PB_TESTS_HDF5_LEAKS_H

#ifdef __SANITIZE_ADDRESS__
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libhdf5\n";
}
const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
	return "print_suppressions=0"; /* what is printed counts as a finding */
}
#endif

#endif
