/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.library;

import java.util.Comparator;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Where a book stands: a subject, a number and an extension, as in {@code NAT 512.2 mur}.
 *
 * @param subject three capital letters
 * @param number the number within the subject
 * @param author the first letters of the author's name
 */
public record ShelfMark(String subject, double number, String author) implements Comparable<ShelfMark> {

  private static final Pattern FORM = Pattern.compile("([A-Z]{3}) (\\d+(?:\\.\\d+)?) ([a-z]{1,5})");

  /**
   * Reads a mark from the back of a book.
   *
   * @param text what stands there
   * @return the mark, or nothing when the label is torn or written by hand
   */
  public static Optional<ShelfMark> read(CharSequence text) {
    Matcher matcher = FORM.matcher(text);
    if (!matcher.matches()) {
      return Optional.empty();
    }
    return Optional.of(new ShelfMark(matcher.group(1), Double.parseDouble(matcher.group(2)), matcher.group(3)));
  }

  /** Orders books as they stand on the shelf: by subject, then by number, then by author. */
  @Override
  public int compareTo(ShelfMark other) {
    return Comparator.comparing(ShelfMark::subject)
        .thenComparingDouble(ShelfMark::number)
        .thenComparing(ShelfMark::author)
        .compare(this, other);
  }
}
