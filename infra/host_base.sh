#!/usr/bin/env bash
# Make a base image from the Python of this machine, without a download: for machines that reach no
# image registry, and for the tests. Not for production: use python:3.13-slim there.
#     infra/host_base.sh [NAME]          (default localhost/python-host:<version>)
# Linux with glibc, podman or docker; PYTHON3 chooses the interpreter. With COMPILER=1 this machine's
# gcc comes along (default name …:<version>-gcc): what BUILD_IMAGE of the Dockerfile is for.
set -euo pipefail
python=${PYTHON3:-python3}
engine=${ENGINE:-$(command -v podman || command -v docker)}
home=$("$python" -c 'import sys; print(sys.base_prefix)')
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
name=${1:-localhost/python-host:$version${COMPILER:+-gcc}}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"

mkdir -p "$root"/usr/{local,bin,sbin,lib,lib64} "$root"/etc/ssl/certs "$root"/{tmp,proc,sys,dev,root,var/tmp}
chmod 1777 "$root/tmp" "$root/var/tmp"
for folder in bin sbin lib lib64; do ln -s "usr/$folder" "$root/$folder"; done

# The interpreter with its standard library, less what no container needs.
packages=$root/usr/local/lib/python$version/site-packages
[ -d "$home/lib/python$version/site-packages/pip" ] || {
  echo "host_base.sh: $python has no pip of its own in $home; set PYTHON3 to a Python that isn't the system's" >&2
  exit 1
}
(cd "$home" && ls -d "bin/python$version" lib/python"$version" lib/libpython* "include/python$version" 2>/dev/null) |
  tar -C "$home" --exclude='lib/python*/test' --exclude='lib/python*/site-packages/*' --exclude=__pycache__ \
    --exclude='*.a' --exclude=idlelib --exclude=tkinter -cf - -T - | tar -C "$root/usr/local" -xf -
mkdir -p "$packages"
cp -r "$home/lib/python$version/site-packages"/pip{,-*.dist-info} "$packages/"
ln -sf "python$version" "$root/usr/local/bin/python3"
ln -sf "python$version" "$root/usr/local/bin/python"

for program in bash dash env cat cut ls rm mkdir cp mv ln chmod sleep true false id test uname head tail grep sed tar gzip \
  find sort wc touch date echo dirname basename; do
  found=$(type -P $program || true)
  [ -z "$found" ] || cp -L "$found" "$root/usr/bin/"
done
ln -sf dash "$root/usr/bin/sh"

machine=$(uname -m)-linux-gnu
if [ -n "${COMPILER:-}" ]; then
  [ -d "$(dirname "$(gcc -print-libgcc-file-name)")" ] || { echo "host_base.sh: no gcc here" >&2; exit 1; }
  for program in gcc as ld strip; do cp -L "$(type -P $program)" "$root/usr/bin/"; done
  gcc=$(dirname "$(gcc -print-libgcc-file-name)")
  ls -d "$gcc"/{cc1,collect2,liblto_plugin.so,include,crt*.o,libgcc*} "$(gcc -print-prog-name=cc1)" \
    /usr/include/{,"$machine"/}{*.h,asm,asm-generic,bits,gnu,linux,sys} \
    /usr/lib/"$machine"/{crt*.o,lib{c,m,mvec,c_nonshared,pthread}.{a,so}} 2>/dev/null |
    sort -u | sed s,^/,, | tar -C / -cf - -T - | tar -C "$root" -xf - || true
fi

# Every library these link to, and those that compiled wheels expect (C++, OpenMP, glibc's small ones).
{ find "$root/usr/local" -name '*.so*' -type f
  find "$root/usr/lib" -name cc1
  ls -d "$root"/usr/bin/* "$root/usr/local/bin/python$version"; } |
  xargs -n1 ldd 2>/dev/null | awk '/=> \//{print $3} /^\t\/lib/{print $1}' | sort -u | grep -v "^$home" |
  while read -r library; do mkdir -p "$root$(dirname "$library")"; cp -L "$library" "$root$library"; done
for library in libgcc_s.so.1 libstdc++.so.6 libgomp.so.1 librt.so.1 libdl.so.2 libpthread.so.0 libutil.so.1 libm.so.6 \
  libresolv.so.2 libnss_dns.so.2 libnss_files.so.2; do
  for folder in /lib/$machine /usr/lib/$machine /lib64 /usr/lib64; do
    [ ! -e "$folder/$library" ] || { mkdir -p "$root$folder"; cp -L "$folder/$library" "$root$folder/"; break; }
  done
done
printf 'root:x:0:0:root:/root:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
printf '/usr/local/lib\n' >"$root/etc/ld.so.conf"
/sbin/ldconfig -r "$root"
tar -C "$root" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - . |
  "$engine" import -c 'ENV PATH=/usr/local/bin:/usr/bin:/bin' - "$name" >/dev/null
echo "$name"
