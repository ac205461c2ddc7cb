void mu_free(void *p)
{
    free(p);
}
