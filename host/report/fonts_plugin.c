/* Fallback fonts, as fontconfig orders them. */
#include "report/fonts_plugin.h"

#include <fontconfig/fontconfig.h>
#include <string.h>

#include "patchbay/base.h"
#include "tokens/bytes.h"

/* All fonts in the order of their likeness to a family, kept as long as the plugin; NULL: none. */
static const FcFontSet *fonts_like(const char *family, bool bold)
{
	static FcFontSet *kept[2];
	FcPattern *pattern;
	FcResult result;

	if (kept[bold] != NULL)
		return kept[bold];
	pattern = FcPatternCreate();
	if (pattern != NULL && FcPatternAddString(pattern, FC_FAMILY, (const FcChar8 *)family) &&
	    FcPatternAddInteger(pattern, FC_WEIGHT, bold ? FC_WEIGHT_BOLD : FC_WEIGHT_NORMAL) &&
	    FcConfigSubstitute(NULL, pattern, FcMatchPattern)) {
		FcDefaultSubstitute(pattern);
		kept[bold] = FcFontSort(NULL, pattern, FcTrue, NULL, &result);
	}
	if (pattern != NULL)
		FcPatternDestroy(pattern);
	return kept[bold];
}

static bool font_has(const FcFontSet *fonts, int font, uint32_t code)
{
	FcCharSet *letters;

	return FcPatternGetCharSet(fonts->fonts[font], FC_CHARSET, 0, &letters) == FcResultMatch &&
	       FcCharSetHasChar(letters, code);
}

/* What is not seen needs no glyph: controls, joiners, directions, variants. */
static bool is_seen(uint32_t code)
{
	return code >= 0x20 && !(code >= 0x7F && code < 0xA0) &&
	       !(code >= 0x200B && code <= 0x200F) && !(code >= 0x2028 && code <= 0x202E) &&
	       !(code >= 0x2060 && code <= 0x206F) && !(code >= 0xFE00 && code <= 0xFE0F) &&
	       code != 0xFEFF && !(code >= 0xE0000 && code <= 0xE01EF);
}

static void warn_once(uint32_t code)
{
	static bool warned;

	if (!warned)
		pb_warn("no font here has U+%04X, and maybe others: PDF and PNG show a box, or "
			"nothing, in their place, SVG and the page are right: install a font that "
			"has them (Debian: fonts-noto-cjk, fonts-noto-color-emoji)",
			(unsigned)code);
	warned = true;
}

/* The first font that has a letter, after `now` where that has it; -1: none. */
static int font_of(const FcFontSet *fonts, int now, uint32_t code)
{
	int i;

	if (font_has(fonts, 0, code))
		return 0;
	if (now > 0 && font_has(fonts, now, code))
		return now;
	for (i = 1; i < fonts->nfont; i++)
		if (font_has(fonts, i, code))
			return i;
	warn_once(code);
	return -1;
}

size_t pb_font_run(const char *text, size_t at, const char *family, bool bold, const char **use)
{
	const FcFontSet *fonts = fonts_like(family, bold);
	FcChar8 *name;
	size_t next = at;
	int now = -1;

	*use = family;
	if (fonts == NULL || fonts->nfont == 0)
		return strlen(text);
	while (text[at] != '\0') {
		const uint32_t code = pb_utf8_next(text, &next);
		const int font = is_seen(code) ? font_of(fonts, now, code) : now;

		if (now < 0)
			now = font;
		if (font >= 0 && font != now)
			break;
		at = next;
	}
	if (now > 0 && FcPatternGetString(fonts->fonts[now], FC_FAMILY, 0, &name) == FcResultMatch)
		*use = (const char *)name;
	return at;
}
