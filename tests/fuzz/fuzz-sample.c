/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The kernel's files of samples, given anything. The first byte says which file ('A' is the first SampleFile, and so on,
 * then the HostFiles). Beyond not crashing: only the file's own fields change, nothing is had where nothing was
 * understood, devices are ordered and bounded, a text read twice says the same, and the end of a
 * text cut off adds nothing to what its whole lines say.
 */

#include "fuzz.h"
#include "sample.h"

#define UNTOUCHED UINT64_C(0xdeadbeefcafe)

static int parse(int file, const char *text, size_t len, Sample *s, SampleIo *io) {
        return file < _SAMPLE_FILE_MAX
                       ? sample_parse((SampleFile)file, text, len, s, io)
                       : sample_parse_host((HostFile)(file - _SAMPLE_FILE_MAX), text, len, s, io);
}

static SampleMask fields_of(int file) {
        return file < _SAMPLE_FILE_MAX ? sample_file_fields((SampleFile)file)
                                       : host_file_fields((HostFile)(file - _SAMPLE_FILE_MAX));
}

static void check_devices(const SampleIo *io) {
        must(io->n <= SAMPLE_DEVICES_MAX && (io->n_unlisted == 0 || io->n > 0));
        for (size_t i = 0; i < io->n; i++) {
                must(i == 0 || io->devices[i - 1].dev < io->devices[i].dev);
                must(sample_io_find(io, io->devices[i].dev) == &io->devices[i]);
        }
}

static void check_cut(int file, const char *text, size_t len, const Sample *s) {
        Sample lines = {};

        while (len > 0 && text[len - 1] != '\n')
                len--;
        (void)parse(file, text, len, &lines, NULL);
        /* "8:0 " without a newline is a device that did nothing: the only thing such a rest can say. */
        must((s->have & ~lines.have & fields_of(file)) == 0 || file == SAMPLE_FILE_IO_STAT);
        for (int f = 0; f < _SAMPLE_MAX; f++)
                if (s->have & fields_of(file) & SAMPLE_BIT(f))
                        must(s->v[f] == lines.v[f]); /* 0 where not had */
}

int fuzz_one(const uint8_t *data, size_t size) {
        _cleanup_(sample_io_deinit) SampleIo io = {};
        Sample first = {}, second = {};
        const char *text = (const char *)data + 1;
        SampleMask fields;
        int file, r;

        if (size == 0)
                return 0;
        size--;
        file = (data[0] - 'A') & 0xff;
        file %= _SAMPLE_FILE_MAX + _HOST_FILE_MAX;
        fields = fields_of(file);
        for (int f = 0; f < _SAMPLE_MAX; f++)
                sample_put(&first, (SampleField)f, UNTOUCHED);
        r = parse(file, text, size, &first, &io);
        must(r == 0 || r == -EINVAL);
        must(r == 0 || (first.have & fields) == 0);
        check_devices(&io);
        for (int f = 0; f < _SAMPLE_MAX; f++)
                if (!(fields & SAMPLE_BIT(f)))
                        must(sample_has(&first, (SampleField)f) && first.v[f] == UNTOUCHED);
                else
                        must(sample_has(&first, (SampleField)f) || first.v[f] == 0);
        check_cut(file, text, size, &first);
        must(parse(file, text, size, &second, NULL) == r);
        sample_clear(&first, ~fields);
        must(memcmp(&first, &second, sizeof(first)) == 0);
        return 0;
}
