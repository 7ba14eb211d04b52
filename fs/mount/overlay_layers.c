/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading an overlay's options; see overlay_layers.h.
 *
 * They come as lowerdir=A:B::D, where "::" begins the layers that have data only, or, if
 * they were given one by one, as lowerdir+=A,lowerdir+=B,datadir+=D (fs/overlayfs/params.c:
 * ovl_show_options()).
 */
#include "fs/mount/overlay_layers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/scope.h"

static int overlay_layers_add(struct overlay_layers *layers, const char *name)
{
	char **grown =
		reallocarray(layers->lower, layers->count + 1, sizeof(*layers->lower));

	if (!grown)
		return -ENOMEM;
	layers->lower = grown;
	grown[layers->count] = strdup(name);
	return grown[layers->count++] ? 0 : -ENOMEM;
}

/* The end of the first name of a lowerdir=; "\:" is a colon in it, and goes into @name. */
static const char *overlay_layers_next(const char *text, char *name)
{
	while (*text && *text != ':') {
		if (*text == '\\' && text[1])
			text++;
		*name++ = *text++;
	}
	*name = '\0';
	return text;
}

static int overlay_layers_split(struct overlay_layers *layers, const char *text)
{
	scope_free char *name = malloc(strlen(text) + 1);
	int r = name ? 0 : -ENOMEM;

	while (r == 0 && *text) {
		text = overlay_layers_next(text, name);
		r = overlay_layers_add(layers, name);
		if (strncmp(text, "::", 2) == 0)
			layers->has_data = true;
		text += strspn(text, ":");
	}
	return r;
}

static int overlay_layers_option(struct overlay_layers *layers, char *option)
{
	char *value = strchr(option, '=');

	if (!value)
		return 0;
	*value++ = '\0';
	mountinfo_unescape(value);
	if (strcmp(option, "upperdir") == 0) {
		free(layers->upper);
		layers->upper = strdup(value);
		return layers->upper ? 0 : -ENOMEM;
	}
	if (strcmp(option, "lowerdir") == 0)
		return overlay_layers_split(layers, value);
	if (strcmp(option, "lowerdir+") == 0)
		return overlay_layers_add(layers, value);
	if (strcmp(option, "datadir+") == 0) {
		layers->has_data = true;
		return overlay_layers_add(layers, value);
	}
	return 0;
}

int overlay_layers_of(const struct mount_entry *entry, struct overlay_layers *ret_layers)
{
	scope_free char *options = strdup(entry->options);
	char *save = NULL;
	int r = options ? 0 : -ENOMEM;

	*ret_layers = (struct overlay_layers){.count = 0};
	/* A comma of a name is "\054". */
	for (char *option = options ? strtok_r(options, ",", &save) : NULL;
	     option && r == 0; option = strtok_r(NULL, ",", &save))
		r = overlay_layers_option(ret_layers, option);
	return r;
}

void overlay_layers_fini(struct overlay_layers *layers)
{
	for (size_t i = 0; i < layers->count; i++)
		free(layers->lower[i]);
	free(layers->lower);
	free(layers->upper);
	*layers = (struct overlay_layers){.count = 0};
}
