/* A libcurl that cannot do anything, for `make bundle`. HDF5 as Debian builds it is linked to libcurl,
 * for files in S3, which Patchbay never opens; the real one brings thirty libraries along. */
struct curl_slist;
int curl_global_init(long flags);
void curl_global_cleanup(void);
void *curl_easy_init(void);
int curl_easy_setopt(void *handle, int option, ...);
int curl_easy_perform(void *handle);
void curl_easy_cleanup(void *handle);
struct curl_slist *curl_slist_append(struct curl_slist *list, const char *text);
void curl_slist_free_all(struct curl_slist *list);

#define FAILED_INIT 2 /* CURLE_FAILED_INIT */

int curl_global_init(long flags)
{
	(void)flags;
	return FAILED_INIT;
}

void curl_global_cleanup(void)
{
}

void *curl_easy_init(void)
{
	return 0;
}

int curl_easy_setopt(void *handle, int option, ...)
{
	(void)handle;
	(void)option;
	return FAILED_INIT;
}

int curl_easy_perform(void *handle)
{
	(void)handle;
	return FAILED_INIT;
}

void curl_easy_cleanup(void *handle)
{
	(void)handle;
}

struct curl_slist *curl_slist_append(struct curl_slist *list, const char *text)
{
	(void)list;
	(void)text;
	return 0;
}

void curl_slist_free_all(struct curl_slist *list)
{
	(void)list;
}
