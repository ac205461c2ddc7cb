void f(void)
{
    free(x);
    usleep(5);
    assert_int_equal(1, 1);
}
