/* strcpy(a, b) in a comment is no call; // nor is sprintf() */
static const char *text = "strcpy(a, b) \" strtok(";
static const char quote = '"'; /* and behind it code goes on */

void f(void)
{
    strcpy(a, b);
    x->free(x);
    x.free(x);
    mu_free(x);
    free(x);
    y = malloc(3);
    sleep(1); // that is for tests/ to avoid
    MU_ASSERT(x);
    assert(x);
    strtok_r(a, b, &c);
    strtok(a, b);
}
