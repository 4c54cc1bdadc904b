/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* From a file descriptor of the running task to the socket behind it. */
#pragma once

/* The inode of a socket, null where the descriptor is none or of something else. */
static __always_inline void *socket_inode(void *file) {
    void *inode = KREAD(file, file, f_inode);
    return (KREAD(inode, inode, i_mode) & 0170000) == 0140000 ? inode : 0; /* S_IFSOCK */
}

static __always_inline void *file_of(void *task, u32 fd) {
    void *table = KREAD(KREAD(task, task_struct, files), files_struct, fdt);
    void *file = 0;
    if (fd >= KREAD(table, fdtable, max_fds))
        return 0;
    read_kernel(&file, sizeof(file), KREAD(table, fdtable, fd) + 8 * (u64)fd);
    return file;
}

#if KHAS(task_struct, bpf_ctx) /* since Linux 5.15; the helper that gives the task typed since 5.11 */
/* Of the running task, nearly all by plain loads: for what is asked of every file there is. */
static __always_inline void *file_of_current(u32 fd) {
    void *table = KLOAD(KLOAD((void *)bpf_get_current_task_btf(), task_struct, files), files_struct, fdt);
    void *file = 0;
    if (fd < KLOAD(table, fdtable, max_fds))
        read_kernel(&file, sizeof(file), KLOAD(table, fdtable, fd) + 8 * (u64)fd);
    return file;
}
#endif

/* The struct sock of a file that is a socket. */
static __always_inline void *sock_of(void *file) {
    return KREAD(KREAD(file, file, private_data), socket, sk);
}
