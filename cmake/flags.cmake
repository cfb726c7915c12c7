# Compiler and linker flags of every target: warnings are errors, release builds are hardened.
add_compile_definitions(_GNU_SOURCE LEAT_VERSION="${PROJECT_VERSION}")
add_compile_options(
  -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2
  -Wimplicit-fallthrough -Wpointer-arith -Wno-unused-parameter -fno-strict-aliasing -g)

if(LEAT_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
                      -fno-omit-frame-pointer -O1)
  add_link_options(-fsanitize=address,undefined)
elseif(LEAT_SANITIZE STREQUAL "address")
  # gcc 12 sees uninitialised reads in the sanitizer's own calls.
  add_compile_options(-Wno-maybe-uninitialized -fsanitize=address,undefined
                      -fno-sanitize-recover=all -fno-omit-frame-pointer -O1)
  add_link_options(-fsanitize=address,undefined)
elseif(LEAT_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer -O1)
  add_link_options(-fsanitize=thread)
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  set(CMAKE_C_FLAGS_RELEASE "-O2 -DNDEBUG")
  add_compile_options(-D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fPIE)
  add_link_options(-pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed)
endif()
if(LEAT_COVERAGE)
  add_compile_options(--coverage)
  add_link_options(--coverage)
endif()
