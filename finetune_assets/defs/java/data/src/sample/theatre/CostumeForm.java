/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.theatre;

import java.time.LocalDate;
import java.util.LinkedHashSet;
import java.util.Set;

/** The paper form by which a costume is asked for; it has grown with every wish of the theatre. */
public class CostumeForm {

  String label;
  String rail;
  String applicant;
  String telephone;
  String remarks;
  int fittings;
  LocalDate wantedFrom;

  CostumeForm(
      String label, String rail, String applicant, String telephone, String remarks, int fittings,
      LocalDate wantedFrom) {
    this.label = label;
    this.rail = rail;
    this.applicant = applicant;
    this.telephone = telephone;
    this.remarks = remarks;
    this.fittings = fittings;
    this.wantedFrom = wantedFrom;
  }

  public String getApplicant() {
    return applicant;
  }

  public void setApplicant(String applicant) {
    this.applicant = applicant;
  }

  public boolean isComplete() {
    return label != null && rail != null && applicant != null && wantedFrom != null;
  }

  public Costume toEntry(LocalDate today) {
    LocalDate first = wantedFrom.isBefore(today) ? today : wantedFrom;
    return new Costume(label, rail, fittings, first);
  }

  public String summary() {
    return "%s wants %d fittings in %s".formatted(applicant, fittings, rail);
  }

  public Set<String> missing() {
    Set<String> names = new LinkedHashSet<>();
    if (label == null) {
      names.add("label");
    }
    if (rail == null) {
      names.add("rail");
    }
    if (applicant == null) {
      names.add("applicant");
    }
    return names;
  }
}
