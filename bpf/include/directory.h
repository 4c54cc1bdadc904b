/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The directory that a relative path starts from, as an id; its path goes out once a second for those in use.
 *
 * Read here and not from /proc later: a process that is gone, or has moved on, has no /proc/PID/cwd to ask.
 * Names are written leaf first, each with its NUL; the reader turns them round.
 * The program that includes this declares the streams `dirs`, of struct dir_path_short, and `long_dirs`, of struct
 * dir_path.
 */
#pragma once

#define DIR_DEPTH 48
#define DIR_FRESH_NS 1000000000ULL

struct dir_key {
    void *dentry;
    void *mount;
    void *root;
};

struct dir_known {
    u64 id;
    u64 ts;
};

BPF_TABLE("lru_hash", struct dir_key, struct dir_known, dirs_known, 8192);
BPF_PERCPU_ARRAY(dir_scratch, struct dir_path, 1); /* how long the names are is known only after the walk */

static __always_inline void dir_walk(struct dir_path *out, struct dir_key *key, void *root_mount) {
    void *dentry = key->dentry;
    void *mount = key->mount;
    out->complete = 0;
    out->names_len = 0; /* kept in the record: what the verifier cannot know it does not follow through 48 rounds */
    for (int i = 0; i < DIR_DEPTH; i++) {
        if (dentry == key->root && mount == root_mount) {
            out->complete = 1;
            break;
        }
        void *parent = KREAD(dentry, dentry, d_parent);
        if (dentry == KREAD(mount, vfsmount, mnt_root) || dentry == parent) {
            void *holder = mount - KOFFSET(mount, mnt);
            void *above = KREAD(holder, mount, mnt_parent);
            if (above == holder) {
                out->complete = 1;
                break;
            }
            dentry = KREAD(holder, mount, mnt_mountpoint);
            mount = KADDR(above, mount, mnt);
            continue;
        }
        void *name = KREAD(KADDR(dentry, dentry, d_name), qstr, name);
        u32 size = out->names_len;
        if (size >= DIR_NAMES)
            break;
        long length = read_kernel_str(out->names + (size & (DIR_NAMES - 1)), 256, name);
        if (length <= 0)
            break;
        out->names_len = size + length;
        dentry = parent;
    }
}

static __always_inline bool dir_of(struct dir_key *key, void *task, s32 dirfd) {
    void *path;
    if (dirfd == -100) { /* AT_FDCWD */
        path = KADDR(KREAD(task, task_struct, fs), fs_struct, pwd);
    } else {
        if (dirfd < 0)
            return false;
        void *table = KREAD(KREAD(task, task_struct, files), files_struct, fdt);
        if ((u32)dirfd >= KREAD(table, fdtable, max_fds))
            return false;
        void *file = 0;
        read_kernel(&file, sizeof(file), KREAD(table, fdtable, fd) + 8 * (u64)(u32)dirfd);
        if (!file)
            return false;
        path = KADDR(file, file, f_path);
    }
    key->dentry = KREAD(path, path, dentry);
    key->mount = KREAD(path, path, mnt);
    return key->dentry != 0;
}

static __always_inline bool dir_tell(void *ctx, struct dir_path *found) {
    if (found->names_len > DIR_NAMES_SHORT) {
        struct dir_path *whole = long_dirs_reserve();
        if (!whole)
            return false;
        read_kernel(whole, sizeof(*whole), found);
        long_dirs_submit(ctx, whole);
        return true;
    }
    struct dir_path_short *out = dirs_reserve();
    if (!out)
        return false;
    read_kernel(out, sizeof(*out), found);
    dirs_submit(ctx, out);
    return true;
}

/* The id under which the directory is known, 0 when it cannot be told. */
static __always_inline u64 directory_id(void *ctx, s32 dirfd, u64 now) {
    void *task = (void *)bpf_get_current_task();
    struct dir_key key = {};
    if (!dir_of(&key, task, dirfd))
        return 0;
    void *root = KADDR(KREAD(task, task_struct, fs), fs_struct, root);
    key.root = KREAD(root, path, dentry);
    struct dir_known *known = dirs_known.lookup(&key);
    if (known && now - known->ts < DIR_FRESH_NS)
        return known->id;
    u32 zero = 0;
    struct dir_path *found = dir_scratch.lookup(&zero);
    if (!found)
        return known ? known->id : 0;
    struct dir_known fresh = {.id = (now << 8) | (bpf_get_smp_processor_id() & 255), .ts = now};
    found->id = fresh.id;
    dir_walk(found, &key, KREAD(root, path, mnt));
    if (!dir_tell(ctx, found))
        return known ? known->id : 0;
    dirs_known.update(&key, &fresh);
    return fresh.id;
}
