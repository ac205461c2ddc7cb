#ifndef NAMELESS_H
#endif
