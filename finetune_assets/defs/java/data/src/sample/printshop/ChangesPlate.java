/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.printshop;

import java.lang.annotation.Documented;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/**
 * Marks a method that changes the books of the printshop, so that the audit can find it.
 *
 * <p>The audit reads it by reflection; it has no effect of its own.
 */
@Documented
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.METHOD)
public @interface ChangesPlate {

  /** Says in a few words why the plate is changed. */
  String value();

  /** Names the stages in which the change is allowed; all of them when empty. */
  PlateState[] allowedIn() default {};

  /** Gives the fewest sheets that a plate must have to be changed in this way. */
  int fewestSheets() default 0;

  /** Names the form on paper that goes with the change, with the mark of the printshop. */
  String form() default "printshop-0";

  /** Says what is written into the journal when plates are changed by several people at once. */
  Class<? extends RuntimeException> onConflict() default IllegalStateException.class;
}
